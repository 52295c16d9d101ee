"""Another workflow uses memtrain as a module."""

import copy
import json

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

TWO_MODULES = """
configfile: "config.yaml"

module first:
    snakefile: "../a folder/memtrain/Snakefile"
    config: config["one"]
    prefix: "runs/one"

use rule * from first as first_*

module second:
    snakefile: "../a folder/memtrain/Snakefile"
    config: config["two"]
    prefix: "runs/two"

use rule * from second as second_*

rule everything:
    default_target: True
    input:
        rules.first_all.input,
        rules.second_all.input,
"""

ONE_MODULE = """
module memtrain:
    snakefile: "../a folder/memtrain/Snakefile"

use rule * from memtrain
"""

RULES = (
    *("generate_data", "index_shards", "resolve_splits"),
    *("train one", "evaluate one", "draw one", "summarize"),
)


@pytest.fixture
def caller(tmp_path, repository):
    """Return a function that makes a project whose Snakefile uses the one of another folder."""
    make_project(tmp_path / "a folder/memtrain", repository)

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
    for name, rows in (("one", 600), ("two", 700)):
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
