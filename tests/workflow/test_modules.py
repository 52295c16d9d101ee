"""Another workflow uses memtrain as a module."""

import copy
import json
import shutil
import subprocess

import pytest
import yaml

from memtrain.lineage.records.record_store import RecordStore
from tests.workflow.conftest import Project, make_project

CONFIGURATION = {
    "dataset": {"name": "x", "mock": {"rows": 600, "features": 3, "seed": 1}},
    "splits": {"one": {"train": [0, 300], "evaluate": [300, 400]}},
    "training": {"epochs": 1, "batch_size": 16},
    "evaluation": {"bootstrap": 0},
}

#: A shell would run the command in it, unless it is quoted.
CODE_FOLDER = "a folder's $(touch hacked)/memtrain"

TWO_MODULES = f"""
configfile: "config.yaml"

module first:
    snakefile: "../{CODE_FOLDER}/Snakefile"
    config: config["one"]
    prefix: "runs/one"

use rule * from first as first_*

module second:
    snakefile: "../{CODE_FOLDER}/Snakefile"
    config: config["two"]
    prefix: "runs/the second's $(touch hacked)"

use rule * from second as second_*

rule everything:
    default_target: True
    input:
        rules.first_all.input,
        rules.second_all.input,
"""

ONE_MODULE = f"""
module memtrain:
    snakefile: "../{CODE_FOLDER}/Snakefile"

use rule * from memtrain
"""

#: What `snakedeploy deploy-workflow` 0.17.1 writes, but for the path of the Snakefile.
DEPLOYED = f"""
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare memtrain as a module
module memtrain:
    snakefile:
        "../../{CODE_FOLDER}/Snakefile"
    config:
        config


# use all rules from memtrain
use rule * from memtrain
"""

RULES = (
    *("generate_data", "index_shards", "resolve_splits"),
    *("train one", "evaluate one", "draw one", "summarize"),
)


@pytest.fixture
def caller(tmp_path, repository):
    """Return a function that makes a project whose Snakefile uses the one of another folder."""
    make_project(tmp_path / CODE_FOLDER, repository)

    def make(snakefile, configuration):
        (tmp_path / "caller").mkdir()
        (tmp_path / "caller/Snakefile").write_text(snakefile)
        (tmp_path / "caller/config.yaml").write_text(yaml.safe_dump(configuration))
        return Project(tmp_path / "caller")

    return make


def runs_of_the_workflow(results):
    """Return the records of the calls of Snakemake that made these results."""
    store = RecordStore(results / "lineage")
    records = [store.read(name) for name in store.names()]
    return [record for record in records if record.job == "workflow"]


def test_two_modules_run_side_by_side_in_one_workflow(caller):
    configuration = {"one": CONFIGURATION, "two": copy.deepcopy(CONFIGURATION)}
    configuration["two"]["dataset"]["mock"]["rows"] = 700
    project = caller(TWO_MODULES, configuration)
    run = project.snakemake()
    assert {job for job in run.jobs if job.startswith("first_")} >= {
        f"first_{job}" for job in RULES
    }
    for name, rows in (("one", 600), ("the second's $(touch hacked)", 700)):
        results = project / "runs" / name / "results/x"
        assert json.loads((results / "manifest.json").read_text())["file"]["rows"] == rows
        (call,) = runs_of_the_workflow(results)
        assert call.state == "completed"
        jobs = [
            f"{one['job']} {one['split'] or ''}".strip() for one in call.details["workflow"]["jobs"]
        ]
        assert sorted(jobs) == sorted(RULES)
    assert {path.name for path in project.folder.iterdir() if path.name[0] != "."} == {
        *("Snakefile", "config.yaml", "runs"),
    }
    project.configure(lambda content: content["two"]["training"].update(epochs=2))
    again = project.snakemake("--dry-run").jobs
    assert {job.partition("_")[0] for job in again if job != "everything"} == {"second"}
    assert "second_generate_data" not in again


def test_a_failing_module_without_a_prefix_says_why_and_is_recorded(caller):
    configuration = copy.deepcopy(CONFIGURATION)
    configuration["training"]["model"] = "nowhere:Net"
    project = caller(ONE_MODULE, configuration)
    run = project.snakemake(check=False)
    assert run.status == 1
    assert "nowhere" in run.output.rpartition("resolve_splits cannot be made:")[2]
    (call,) = runs_of_the_workflow(project / "results/x")
    assert call.state == "failed"


def test_a_module_that_sets_the_folder_of_the_results(caller):
    module = ONE_MODULE.replace("\n\nuse", '\n    pathvars: results="out/here"\n\nuse')
    project = caller(module, CONFIGURATION)
    project.snakemake("resolve_splits")
    for path in ("config.yaml", "splits/one/split.json", "lineage/events"):
        assert (project / "out/here" / path).exists()
    assert not (project / "results").exists()


def test_replace_prefix_is_refused_with_what_to_do(caller):
    module = ONE_MODULE.replace("\n\nuse", '\n    replace_prefix: {"results/": "out/"}\n\nuse')
    run = caller(module, CONFIGURATION).snakemake("--dry-run", check=False)
    assert run.status == 1
    assert "cannot move the results of memtrain from results/x to out/x" in run.output
    assert 'pathvars: results="out/x"' in run.output


def test_a_module_from_an_address_is_refused_with_what_to_do(caller, tmp_path, monkeypatch):
    """`github(...)` fetches single files; here git takes a local folder for github.com."""
    project = caller(
        ONE_MODULE.replace(
            f'"../{CODE_FOLDER}/Snakefile"',
            'github("someone/memtrain", path="Snakefile", branch="main")',
        ),
        CONFIGURATION,
    )
    clone = tmp_path / "github/someone/memtrain"
    shutil.copytree(tmp_path / CODE_FOLDER, clone)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in ("init -q --initial-branch=main", "add .", "commit -q --message=all"):
        subprocess.run([*git, *command.split()], cwd=clone, check=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/github/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    run = project.snakemake("--dry-run", check=False)
    assert run.status == 1
    assert "Clone the repository, and name the clone's Snakefile" in run.output
    assert "ModuleNotFoundError" not in run.output


def test_a_deployment_runs_with_the_configuration_that_comes_with_it(caller, repository):
    project = caller(DEPLOYED, {})
    (project / "config.yaml").unlink()
    (project / "workflow").mkdir()
    (project / "Snakefile").rename(project / "workflow/Snakefile")
    shutil.copytree(repository / "config", project / "config")
    jobs = project.snakemake("--dry-run").jobs
    assert {"train first_half", "evaluate outer", "summarize"} <= set(jobs)
