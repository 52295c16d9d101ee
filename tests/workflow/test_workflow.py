"""The workflow as a user sees it: files, messages, and ways to call it."""

import copy
import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from memtrain.reporting.job_benchmark import JobBenchmark
from tests.workflow.conftest import CODE, CONFIGURATION, environment


def test_every_promised_file_is_there(finished_project):
    root = finished_project / "results/small"
    for path in ["data.npy", "source.json", "manifest.json", "config.yaml"]:
        assert (root / path).is_file()
    for split in CONFIGURATION["splits"]:
        for path in [
            "split.json",
            "model.safetensors",
            "history.csv",
            "performance.json",
            "evaluation.json",
            "predictions.npy",
            "figures/predictions.png",
            "figures/errors.png",
            "figures/learning_curve.png",
        ]:
            assert (root / "splits" / split / path).is_file(), path
    for path in ["summary.csv", "summary.md", "comparison.png"]:
        assert (root / "summary" / path).is_file()
    for rule in ["generate_data", "index_shards", "resolve_splits", "summarize"]:
        assert (root / "logs" / f"{rule}.log").is_file()
        assert (root / "benchmarks" / f"{rule}.jsonl").is_file()
    assert "effective batch size: 128 rows" in (root / "logs/train/first.log").read_text()


def test_the_summary_has_one_row_for_each_split(finished_project):
    with open(finished_project / "results/small/summary/summary.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["first", "second", "share"]


def test_a_dry_run_of_a_new_project_lists_trainings(new_project):
    run = new_project().snakemake("-n")
    assert "train first" in run.jobs
    assert "DAG of jobs will be updated after completion" in run.output


def test_code_and_project_can_lie_in_different_folders(tmp_path, finished_project, repository):
    """The configuration is given by --configfile, and nothing is written beside the code."""
    here = tmp_path / "my" / "project"
    here.mkdir(parents=True)
    configuration = copy.deepcopy(CONFIGURATION)
    configuration["splits"] = {"first": CONFIGURATION["splits"]["first"]}
    (here / "my.yaml").write_text(yaml.safe_dump(configuration))
    code = tmp_path / "code"
    code.mkdir()
    for name in CODE:
        copied = shutil.copytree if (repository / name).is_dir() else shutil.copy2
        copied(repository / name, code / name)
    before = sorted(path for path in code.rglob("*") if "__pycache__" not in path.parts)
    snakemake = ["snakemake", "--cores", "2"]
    where = ["-s", "code/Snakefile", "--directory", "my/project"]
    done = subprocess.run(
        [*snakemake, *where, "--configfile", "my/project/my.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    model = "splits/first/model.safetensors"
    expected = finished_project.results(model)[model]
    assert (here / "results/small" / model).read_bytes() == expected
    assert sorted(path for path in code.rglob("*") if "__pycache__" not in path.parts) == before


def test_the_report_has_all_figures_and_lint_finds_nothing(project):
    run = project.snakemake("--report", "report.html")
    text = (project / "report.html").read_text()
    for part in ("predictions.png", "errors.png", "learning_curve", "comparison", "summary.csv"):
        assert part in text
    assert run.status == 0
    lint = project.snakemake("--lint", check=False)
    assert "Congratulations" in lint.output
    assert lint.status == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content.update(trainig={}), ["trainig", "Did you mean 'training'?"]),
        (
            lambda content: content["splits"]["first"].update(train=[0, 30_000]),
            ["splits.first.train", "20000 rows"],
        ),
        (lambda content: content["dataset"].pop("mock"), ["dataset", "found none"]),
    ],
)
def test_a_mistake_in_the_configuration_stops_before_any_rule(new_project, change, expected):
    project = new_project()
    project.configure(change)
    run = project.snakemake(check=False)
    assert run.status == 1
    assert run.jobs == []
    assert "Traceback" not in run.output
    for part in expected:
        assert part in run.output


def test_a_mistake_that_needs_the_data_is_shown_from_the_log(new_project):
    project = new_project()
    project.configure(lambda content: content["training"].update(model="mpl"))
    run = project.snakemake(check=False)
    assert run.status == 1
    assert "splits first, second, share: training.model: found 'mpl'" in run.output
    assert "Traceback" not in run.output
    assert not (project / "results/small/splits/first/split.json").exists()


def test_imported_rows_can_be_classified_in_a_cross_validation(new_project):
    """The rows come from two CSV files; another row in one of them changes all folds."""
    generator = np.random.default_rng(0)
    project = new_project(
        {
            "dataset": {
                "name": "iris",
                "import": {
                    "path": "my data/*.csv",
                    "features": ["length", "width", "colour"],
                    "target": ["species"],
                    "categories": ["colour", "species"],
                },
            },
            "folds": 2,
            "training": {
                "model": "linear",
                "loss": "CrossEntropyLoss",
                "transform": "standardize",
                "optimizer": {"name": "Adam", "lr": 0.05},
                "epochs": 30,
            },
            "evaluation": {"bootstrap": 5},
        }
    )
    (project / "my data").mkdir()
    for part in range(2):
        lines = ["length,width,colour,species"]
        for _ in range(100):
            kind = generator.integers(3)
            length = generator.normal(kind, 0.2)
            width = generator.normal(-kind, 0.2)
            lines.append(f"{length},{width},{'red' if kind else 'blue'},{'abc'[kind]}")
        (project / f"my data/{part}.csv").write_text("\n".join(lines) + "\n")
    run = project.snakemake()
    assert "import_data" in run.jobs
    for fold in ("fold_1", "fold_2"):
        path = project / f"results/iris/splits/{fold}/evaluation.json"
        evaluation = json.loads(path.read_text())
        assert evaluation["metrics"]["accuracy"] > 0.9
    assert project.snakemake().jobs == []
    with open(project / "my data/1.csv", "a") as file:
        file.write("1,-1,red,b\n")
    # With one more row, both folds have other ranges.
    run = project.snakemake("results/iris/splits/fold_1/model.safetensors")
    assert "train fold_1" in run.jobs


def test_values_and_paths_reach_the_shell_quoted(new_project):
    project = new_project(name="a project's $(touch hacked)")
    (project / "a'b $(touch hacked).csv").write_text("x,y\n" + "0.5,1\n0.25,2\n" * 50)
    project.configure(
        lambda content: content.update(
            dataset={
                "name": "quoted",
                "import": {
                    "path": "a'b $(touch hacked).csv",
                    "features": ["x"],
                    "target": ["y"],
                },
            },
            splits={"one": {"train": [0, 50], "evaluate": [50, 100]}},
        )
    )
    project.snakemake()
    assert not list(project.folder.parent.rglob("hacked"))
    assert (project / "results/quoted/summary/summary.md").exists()


def test_every_job_uses_less_memory_than_it_requests(finished_project):
    benchmarks = finished_project / "results/small/benchmarks"
    measured = 0
    for path in benchmarks.rglob("*.jsonl"):
        job = JobBenchmark.read(path)
        # Snakemake measures no memory of a job that ends at once.
        assert 0 <= job.used_mb < job.requested_mb < 2000, path
        measured += job.used_mb > 0
    assert measured >= 6
    table = (finished_project / "results/small/summary/summary.md").read_text()
    assert "requested MB" in table
