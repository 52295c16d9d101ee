"""Results are current by what they were made from, whatever happened to times and memory.

Every test changes something in a finished project, calls Snakemake once, and compares the jobs that
ran with those that are needed, and the bytes with those of a run from scratch.
"""

import json
import os
import shutil
import subprocess
import time

import pytest
import yaml

from tests.sharing import made_once
from tests.workflow.conftest import REPRODUCIBLE, Project, make_project
from tests.workflow.imported import CONFIGURATION, NETWORKS, rows, write_imported, write_rows

RECIPES = ["resolve_splits"]
ROWS = ["import_data", "index_shards", *RECIPES]
MODEL = "results/small/splits/{}/model.safetensors"


def of_split(*splits):
    """Return the jobs that make the results of splits from their recipes, and the summary."""
    return [
        *(f"{job} {one}" for one in splits for job in ("train", "evaluate", "draw")),
        "summarize",
    ]


def expect(run, *jobs):
    """Fail unless exactly these jobs ran."""
    assert run.jobs == sorted(jobs), run.output


@pytest.fixture(scope="session")
def finished_import(tmp_path_factory, repository):
    """A project with imported rows that has run to its end, whose files are not new any more."""

    def run(folder):
        project = make_project(folder, repository, CONFIGURATION)
        write_imported(project)
        expect(project.snakemake(), *ROWS, *of_split("first", "second"))

    return Project(made_once(tmp_path_factory, "imported", run))


@pytest.fixture
def imported(tmp_path, finished_import):
    """A copy of the finished project, times and memory of Snakemake included."""
    shutil.copytree(finished_import.folder, tmp_path / "copy")
    return Project(tmp_path / "copy")


@pytest.fixture(scope="session")
def from_scratch(tmp_path_factory):
    """Return a function: the bytes that a project gives in a new folder, by what it would run."""
    known = {}

    def results(project):
        inputs = [project / "config.yaml", project / "networks.py", *(project / "data").iterdir()]
        key = tuple(path.read_bytes() for path in inputs if path.exists())
        if key not in known:
            copy = tmp_path_factory.mktemp("scratch") / "x"
            ignore = shutil.ignore_patterns("results", ".snakemake")
            shutil.copytree(project.folder, copy, ignore=ignore)
            splits = yaml.safe_load((copy / "config.yaml").read_text())["splits"]
            evaluations = [f"results/small/splits/{name}/evaluation.json" for name in splits]
            Project(copy).snakemake(*evaluations)
            known[key] = Project(copy).results(*REPRODUCIBLE)
        return known[key]

    return results


def contents(project):
    """Return the bytes of all files below the results, by their paths."""
    root = project / "results/small"
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def replace_with_older(path, text):
    """Write a file as `cp -p`, `rsync -a`, `tar` and `mv` do: with a time in the past."""
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(text)
    hour_ago = time.time() - 3600
    os.utime(aside, (hour_ago, hour_ago))
    os.replace(aside, path)


def train_longer(project):
    project.configure(lambda content: content["training"].update(epochs=2))


def forget(project):
    """Remove what Snakemake remembers."""
    shutil.rmtree(project / ".snakemake")


def test_settings_count_without_the_memory_of_snakemake(imported, from_scratch):
    train_longer(imported)
    forget(imported)
    plan = imported.snakemake("-n").output
    assert "train first: settings changed (epochs: 1 -> 2)" in plan
    assert "train second: settings changed (epochs: 1 -> 2)" in plan
    expect(imported.snakemake(), *RECIPES, *of_split("first", "second"))
    assert imported.results(*REPRODUCIBLE) == from_scratch(imported)
    expect(imported.snakemake())


def test_settings_count_after_a_touch(imported):
    train_longer(imported)
    imported.snakemake("--touch")
    expect(imported.snakemake(), *RECIPES, *of_split("first", "second"))


def test_settings_changed_and_changed_back_run_nothing(imported):
    text = (imported / "config.yaml").read_text()
    train_longer(imported)
    assert "epochs: 1 -> 2" in imported.snakemake("-n").output
    (imported / "config.yaml").write_text(text)
    expect(imported.snakemake())


def test_a_module_replaced_by_an_older_file_trains_again(imported, from_scratch):
    replace_with_older(imported / "networks.py", NETWORKS.replace("tanh", "relu"))
    expect(imported.snakemake(), *RECIPES, *of_split("first", "second"))
    assert imported.results(*REPRODUCIBLE) == from_scratch(imported)


def test_rows_replaced_by_an_older_file_train_the_splits_that_hold_them(imported, from_scratch):
    changed = rows()
    changed[10, 0] += 1
    write_rows(imported / "data/new", changed)
    text = (imported / "data/new").read_text()
    (imported / "data/new").unlink()
    replace_with_older(imported / "data/x.csv", text)
    expect(imported.snakemake(), *ROWS, *of_split("first"))
    assert imported.results(*REPRODUCIBLE) == from_scratch(imported)


def test_withdrawals_replaced_by_an_older_file_count(imported):
    imported.lineage("withdraw", "--rows", "350:360", "--reason", "two")
    text = (imported / "withdrawals.yaml").read_text()
    (imported / "withdrawals.yaml").unlink()
    expect(imported.snakemake())
    replace_with_older(imported / "withdrawals.yaml", text)
    expect(imported.snakemake(), *RECIPES, *of_split("second"))


@pytest.mark.parametrize(
    ("files", "jobs"),
    [
        (
            ["splits/first/model.safetensors", "splits/second/history.csv"],
            of_split("first", "second"),
        ),
        (
            ["splits/first/evaluation.json", "manifest/part-00000.json"],
            ["index_shards", *RECIPES, "evaluate first", "draw first", "summarize"],
        ),
        (["data.npy", "splits/first/split.json"], ROWS),
        # How long it took is no reason to train again.
        (["splits/first/performance.json"], []),
    ],
)
def test_what_was_deleted_is_made_again_as_it_was(imported, files, jobs):
    before = imported.results(*REPRODUCIBLE)
    for file in files:
        (imported / "results/small" / file).unlink()
    expect(imported.snakemake(), *jobs)
    assert imported.results(*REPRODUCIBLE) == before
    expect(imported.snakemake())


def test_a_dry_run_says_that_missing_rows_are_made_again(imported):
    (imported / "results/small/data.npy").unlink()
    before = contents(imported)
    plan = imported.snakemake("-n").output
    assert plan.index("import_data: data.npy is missing") < plan.index("rule import_data: ")
    after = contents(imported)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert not {name for name in changed if not name.startswith(("verdicts/", "state/"))}


def test_a_model_copied_over_another_is_made_again(imported):
    before = imported.results(*REPRODUCIBLE)
    shutil.copy(imported / MODEL.format("second"), imported / MODEL.format("first"))
    expect(imported.snakemake(), *of_split("first"))
    assert imported.results(*REPRODUCIBLE) == before


def test_files_edited_by_hand_are_made_again(imported):
    before = imported.results(*REPRODUCIBLE)
    for name in ("data.npy", "splits/second/split.json"):
        flip(imported / "results/small" / name, -40, 1)
    # The exponent of a weight: nothing but its value tells.
    flip(imported / MODEL.format("first"), -3, 0x40)
    expect(imported.snakemake(), *ROWS, *of_split("first"))
    assert imported.results(*REPRODUCIBLE) == before


def flip(path, place, bits):
    """Flip bits of a byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


def test_swapped_names_train_both_splits(imported, from_scratch):
    def swap(content):
        one, two = content["splits"].values()
        content["splits"] = {"first": two, "second": one}

    imported.configure(swap)
    expect(imported.snakemake(), *RECIPES, *of_split("first", "second"))
    assert imported.results(*REPRODUCIBLE) == from_scratch(imported)


def test_a_renamed_split_is_trained_and_its_old_folder_is_named(imported):
    imported.configure(
        lambda content: content["splits"].update(third=content["splits"].pop("second"))
    )
    run = imported.snakemake()
    expect(run, *RECIPES, *of_split("third"))
    assert "No longer configured: second." in run.output


def test_the_project_moved_renamed_and_copied_without_times_runs_nothing(imported, tmp_path):
    deeper = tmp_path / "deeper/still"
    shutil.copytree(imported.folder, deeper, copy_function=shutil.copyfile)
    (tmp_path / "link").symlink_to(deeper)
    expect(Project(tmp_path / "link").snakemake())
    content = Project(deeper)
    content.configure(lambda settings: settings["dataset"].update(name="other"))
    shutil.move(deeper / "results/small", deeper / "results/other")
    expect(content.snakemake(), "summarize")
    assert "0 findings" in content.lineage("verify")
    explained = content.lineage("explain", "results/other/splits/first/model.safetensors")
    assert "no record says" not in explained


@pytest.mark.parametrize("days", [-1, 1])
def test_a_wrong_clock_changes_nothing(imported, days):
    """All files have times a day away; the settings are changed today."""
    for path in [*(imported / "results").rglob("*"), *(imported / "data").iterdir()]:
        found = path.stat()
        os.utime(path, (found.st_atime, found.st_mtime + days * 86_400))
    train_longer(imported)
    (imported / "results/small/data.npy").unlink()
    expect(imported.snakemake(), *ROWS, *of_split("first", "second"))
    expect(imported.snakemake())


def test_the_other_splits_are_trained_where_one_fails(imported):
    train_longer(imported)
    in_the_way = imported / "results/small/state/first"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("where the state of the training goes\n")
    run = imported.snakemake(check=False)
    assert run.status == 1
    done = [job for job in of_split("second") if job != "summarize"]
    expect(run, *RECIPES, "train first", *done)
    in_the_way.unlink()
    expect(imported.snakemake(), *of_split("first"))


def test_code_edited_while_a_training_runs(imported):
    slow = "import time\n" + NETWORKS.replace(
        "        return self.b", "        time.sleep(0.05)\n        return self.b"
    )
    (imported / "networks.py").write_text(slow)
    imported.configure(lambda content: content["training"].update(epochs=10))
    process = subprocess.Popen(
        imported.command("--cores", "1", "results/small/splits/first/evaluation.json"),
        cwd=imported.folder,
        env=imported.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    while not (imported / "results/small/state/first/progress.json").exists():
        assert process.poll() is None
        time.sleep(0.1)
    edited = slow.replace("tanh", "relu")
    (imported / "networks.py").write_text(edited)
    output = process.communicate()[0].decode()
    assert process.returncode == 1
    assert "trained by other code" in output
    made_by_old_code = (imported / MODEL.format("first")).read_bytes()
    log = (imported / "results/small/logs/train/first.log").read_text()
    assert "the code has changed while first was trained" in log
    # The edit is taken back: the model of the old code is what would be made, and is kept.
    (imported / "networks.py").write_text(slow)
    run = imported.snakemake("results/small/splits/first/evaluation.json")
    expect(run, "evaluate first")
    assert (imported / MODEL.format("first")).read_bytes() == made_by_old_code


@pytest.mark.parametrize("question", ["--summary", "--lint", "--unlock"])
def test_questions_write_no_verdicts(imported, question):
    shutil.rmtree(imported / "results/small/verdicts")
    train_longer(imported)
    imported.snakemake(question, check=False)
    assert not (imported / "results/small/verdicts").exists()


def test_forced_rules_make_those_below_again(imported):
    expect(imported.snakemake("-n", "-R", "train"), *of_split("first", "second"))


def test_models_say_what_made_them(imported):
    statement = json.loads((imported / "results/small/splits/first/evaluation.json").read_text())
    assert set(statement["made_from"]) == {"code", "model", "recipe"}


def test_accepted_results_stand_until_something_else_changes(imported):
    with open(imported / "scripts/memtrain/training/optimizer_step.py", "a") as file:
        file.write("ADDED = 1\n")
    assert "train first: code changed" in imported.snakemake("-n").output
    imported.lineage("accept", "--all", "--reason", "a line that changes nothing")
    run = imported.snakemake()
    expect(run)
    assert "accepted: a line that changes nothing" in run.output
    # A model of other code can be evaluated again, since it was accepted.
    (imported / "results/small/splits/first/evaluation.json").unlink()
    expect(imported.snakemake(), "evaluate first", "draw first", "summarize")
    train_longer(imported)
    assert "resolve_splits" in imported.snakemake("-n").jobs
