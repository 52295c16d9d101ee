"""A split without `evaluate` has a model and nothing else, and every program says so."""

import csv
import json
import shutil
import subprocess

import pytest
import yaml

from tests.workflow.conftest import Project, environment, make_project
from tests.workflow.imported import CONFIGURATION, write_imported
from tests.workflow.test_verdicts import RECIPES, ROWS, expect, of_split

ALL = {"all": {"train": [0, "100%"]}}
SPLIT = "results/small/splits/all"
OF_EVALUATION = [f"{SPLIT}/evaluation.json", f"{SPLIT}/predictions.npy", f"{SPLIT}/figures"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, repository):
    """A finished project with a split that is evaluated, and one that is not."""
    first = {"first": CONFIGURATION["splits"]["first"]}
    configuration = CONFIGURATION | {"splits": ALL | first}
    project = make_project(tmp_path_factory.mktemp("all") / "x", repository, configuration)
    write_imported(project)
    run = project.snakemake()
    expect(run, *ROWS, "train all", *of_split("first"))
    assert "Not evaluated: all. Without `evaluate`, nothing tells how good it is" in run.output
    return project


@pytest.fixture
def project(tmp_path, finished):
    """A copy of the finished project."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Project(tmp_path / "copy")


def evaluate(project, rows):
    """Let the split "all" be evaluated on rows; on none where they are None."""

    def change(content):
        content["splits"]["all"].pop("evaluate", None)
        if rows:
            content["splits"]["all"].update(evaluate=rows, allow_overlap=True)

    project.configure(change)


def call(project, script, *arguments):
    """Call a program in the folder of the project, and return what it did."""
    return subprocess.run(
        ["python", f"scripts/{script}.py", *arguments],
        cwd=project.folder,
        capture_output=True,
        text=True,
        env=environment(),
    )


def test_the_model_is_all_there_is_and_nothing_runs_twice(finished):
    found = {path.name for path in (finished / SPLIT).iterdir()}
    assert found == {
        "split.json",
        "model.safetensors",
        "history.csv",
        "validation.csv",
        "performance.json",
    }
    assert json.loads((finished / SPLIT / "split.json").read_text())["evaluation"] is None
    expect(finished.snakemake())


def test_summary_and_page_say_that_there_is_nothing_to_evaluate(finished):
    folder = finished / "results/small/summary"
    text = (folder / "summary.md").read_text()
    assert "Not evaluated: all. Without `evaluate`" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| all ") and "none" in line]
    assert [cell.strip() for cell in line.split("|")[2:6]] == ["600", "none", "5", "-"]
    with (folder / "summary.csv").open() as file:
        lines = {line["split"]: line for line in csv.DictReader(file)}
    assert (lines["all"]["rows_evaluated"], lines["all"]["steps"]) == ("0", "5")
    assert lines["all"]["r2"] == lines["all"]["loss"] == ""
    assert float(lines["first"]["r2"]) < 1
    page = (folder / "lineage.html").read_text()
    assert '"not evaluated"' in page
    assert '"rows evaluated on": "none"' in page or '"rows evaluated on":"none"' in page


def test_programs_that_tell_of_a_model_tell_of_this_one(finished):
    model = f"{SPLIT}/model.safetensors"
    assert "made by train/all" in finished.lineage("explain", model)
    reached = json.loads(finished.lineage("impact", "--rows", "590:600", "--json"))
    assert model in {one["path"] for one in reached}
    finished.lineage("verify")
    status = call(finished, "status")
    assert "2 finished" in status.stdout
    refused = call(
        finished,
        *("evaluate", "--data", "results/small/data.npy", "--split", f"{SPLIT}/split.json"),
        *("--model", model, "--history", f"{SPLIT}/history.csv"),
        *("--evaluation", "e.json", "--predictions", "p.npy"),
    )
    assert refused.returncode == 1
    assert "splits.all: this split has no `evaluate`" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "format",
    [
        ("rocrate", "."),
        ("prov", "prov.json"),
        ("croissant", "croissant.json"),
        ("slsa", "slsa.json", f"{SPLIT}/model.safetensors"),
    ],
    ids=lambda format: format[0],
)
def test_exports_are_written(project, format):
    project.lineage("export", *format)


def test_rows_that_are_evaluated_on_later_train_nothing_again(project):
    model = (project / SPLIT / "model.safetensors").read_bytes()
    evaluate(project, [500, 600])
    expect(project.snakemake(), *RECIPES, *of_split("all")[1:])
    assert all((project / path).exists() for path in OF_EVALUATION)
    evaluate(project, None)
    run = project.snakemake()
    expect(run, *RECIPES, "summarize")
    assert "Not evaluated: all." in run.output
    assert (project / SPLIT / "model.safetensors").read_bytes() == model
    told = project.snakemake().output
    assert "No longer evaluated: all." in told
    project.lineage("verify")
    cleaned = call(project, "clean", "--yes")
    assert cleaned.returncode == 0
    assert "(split all is no longer evaluated)" in cleaned.stdout
    assert not any((project / path).exists() for path in OF_EVALUATION)
    run = project.snakemake()
    expect(run)
    assert "No longer evaluated" not in run.output


def test_withdrawn_rows_train_the_model_again(project):
    told = project.lineage("withdraw", "--rows", "550:560", "--reason", "asked for")
    assert f"trained on some of these rows: {SPLIT}/model.safetensors" in told
    run = project.snakemake()
    expect(run, *RECIPES, "train all", "evaluate first", "draw first", "summarize")
    recipe = json.loads((project / SPLIT / "split.json").read_text())
    assert recipe["training"]["rows"]["ranges"] == [[0, 550], [560, 600]]


def test_a_configuration_may_evaluate_nothing(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    content = yaml.safe_load((project / "config.yaml").read_text())
    (project / "config.yaml").write_text(yaml.safe_dump(content | {"splits": ALL}))
    run = project.snakemake()
    expect(run, "summarize")
    assert "Not evaluated: all." in run.output
    text = (project / "results/small/summary/summary.md").read_text()
    assert "Best" not in text
    assert "R²" not in text
    assert (project / "results/small/summary/comparison.png").exists()
