"""After a change, one call of Snakemake makes again exactly the results that the change reaches."""

import os
import subprocess
import time

import numpy as np
import pytest

MODELS = "splits/*/model.safetensors"

SPLITS = ("first", "second", "share")


def jobs_of_split(split):
    """Return the jobs that make the results of a split from its recipe."""
    return [f"train {split}", f"evaluate {split}", f"draw {split}"]


def expect_jobs(run, *jobs):
    """Fail unless exactly these jobs ran."""
    assert run.jobs == sorted(jobs), run.output


def expect_cause(project, file, *parts):
    """Fail unless lineage diff names these differences of the last two runs that made a file.

    Args:
        project: the project.
        file: path of the file below results/small.
        parts: texts that the answer has to contain.
    """
    answer = project.lineage("diff", f"results/small/{file}", status=1)
    for part in parts:
        assert part in answer, answer


def model(split):
    return f"splits/{split}/model.safetensors"


def append_line(path, line="ADDED = 1\n"):
    with open(path, "a") as file:
        file.write(line)


def test_without_a_change_nothing_runs(project):
    start = time.monotonic()
    run = project.snakemake()
    expect_jobs(run)
    assert "Nothing to be done" in run.output
    assert time.monotonic() - start < 30


def touch(paths):
    later = time.time()
    for path in paths:
        os.utime(path, (later, later))


def test_touched_files_run_nothing(project):
    files = (path for path in project.folder.rglob("*") if path.is_file())
    touch(path for path in files if ".snakemake" not in path.parts)
    expect_jobs(project.snakemake())


def test_touched_code_recipes_and_data_run_nothing(project):
    touch(project.folder.rglob("*.py"))
    touch((project / "results").rglob("split.json"))
    touch([project / "results/small/data.npy"])
    expect_jobs(project.snakemake())


def test_comments_run_nothing(project):
    append_line(project / "config.yaml", "# a comment\n")
    append_line(project / "scripts/memtrain/training/trainer.py", "# a comment\n")
    expect_jobs(project.snakemake())


def test_appended_rows_train_only_splits_whose_ranges_are_shares(project):
    project.configure(lambda content: content["dataset"]["mock"].update(rows=20_010))
    models = project.results(MODELS)
    # Only the split whose ranges are shares of the rows has other rows now.
    data = ["generate_data", "index_shards", "resolve_splits"]
    expect_jobs(project.snakemake(), *data, *jobs_of_split("share"), "summarize")
    after = project.results(MODELS)
    assert [name for name in models if models[name] != after[name]] == [
        "splits/share/model.safetensors"
    ]
    expect_cause(project, model("share"), "data:\n  rows: [2000, 4000) -> [2001, 4002)")
    expect_cause(project, "data.npy", "settings:\n  mock.rows: 20000 -> 20010")


def change_row(project, number):
    rows = np.load(project / "results/small/data.npy", mmap_mode="r+")
    rows["features"][number, 0] += 1
    rows.flush()


def test_rows_changed_by_hand_are_made_again_and_train_nothing(project):
    before = project.results("data.npy", MODELS)
    change_row(project, 1400)
    expect_jobs(project.snakemake(), "generate_data", "index_shards", "resolve_splits")
    assert project.results("data.npy", MODELS) == before
    expect_jobs(project.snakemake())


def test_a_wider_range_trains_its_split(project):
    project.configure(lambda content: content["splits"]["first"].update(train=[0, 1501]))
    expect_jobs(project.snakemake(), "resolve_splits", *jobs_of_split("first"), "summarize")
    expect_cause(project, model("first"), "data:\n  rows: [0, 1500) -> [0, 1501)")
    expect_cause(project, "splits/first/split.json", "splits.first.train: [0, 1500] -> [0, 1501]")
    expect_cause(project, "splits/first/evaluation.json", "splits/first/model.safetensors: sha256:")


def test_another_learning_rate_trains_its_split(project):
    own = {"optimizer": {"lr": "2e-3"}}
    project.configure(lambda content: content["splits"]["second"].update(training=own))
    expect_jobs(project.snakemake(), "resolve_splits", *jobs_of_split("second"), "summarize")
    expect_cause(project, model("second"), "training.optimizer.lr: 0.001 -> 0.002", "settings:")
    expect_jobs(project.snakemake())


def test_two_swapped_settings_train_all_splits(project):
    sizes = {"batch_size": 4, "accumulation_steps": 32}
    project.configure(lambda content: content["training"].update(sizes))
    everything = [job for split in SPLITS for job in jobs_of_split(split)]
    expect_jobs(project.snakemake(), "resolve_splits", *everything, "summarize")
    expect_cause(project, model("first"), "accumulation_steps: 4 -> 32", "batch_size: 32 -> 4")


def test_another_evaluation_range_evaluates_its_split(project):
    project.configure(lambda content: content["splits"]["first"].update(evaluate=[18_900, 19_000]))
    expect_jobs(project.snakemake(), "resolve_splits", "evaluate first", "draw first", "summarize")
    expect_cause(
        project,
        "splits/first/evaluation.json",
        "data:\n  rows: [19900, 20000) -> [18900, 19000)",
    )


OUTSIDE = [
    "cli/entry_point.py",
    "lineage/records/privacy.py",
    "reporting/summary.py",
    "system/progress.py",
    "workflow/result_code.py",
]


def test_an_edit_of_code_that_no_model_depends_on_trains_nothing(project):
    for file in OUTSIDE:
        append_line(project / "scripts/memtrain" / file)
    # The summary depends on reporting/ and lineage/.
    expect_jobs(project.snakemake(), "summarize")
    append_line(project / "scripts/memtrain/cli/entry_point.py")
    expect_jobs(project.snakemake())


def test_an_edit_of_code_that_a_model_depends_on_trains_all_splits(project):
    trained = [f"train {split}" for split in ("first", "second", "share")]
    append_line(project / "scripts/memtrain/training/optimizer_step.py")
    run = project.snakemake("--dry-run")
    assert [job for job in run.jobs if job.startswith("train")] == trained
    assert not {"generate_data", "index_shards", "resolve_splits"} & set(run.jobs)


def test_an_edit_of_a_module_that_only_the_summary_uses_runs_only_summarize(project):
    append_line(project / "scripts/memtrain/reporting/summary.py")
    expect_jobs(project.snakemake(), "summarize")
    expect_cause(
        project, "summary/summary.md", "code:\n  scripts/memtrain/reporting/summary.py: sha256:"
    )


def test_an_edit_of_a_figure_draws_again_and_trains_nothing(project):
    """The summary is made again as well, since its lineage page shows the runs of draw."""
    append_line(project / "scripts/memtrain/reporting/figures/regression.py")
    expect_jobs(project.snakemake(), *(f"draw {split}" for split in SPLITS), "summarize")
    expect_cause(
        project,
        "splits/first/figures/predictions.png",
        "code:\n  scripts/memtrain/reporting/figures/regression.py: sha256:",
    )


def test_an_edit_of_the_style_of_figures_draws_all_of_them_again(project):
    append_line(project / "scripts/memtrain/reporting/figures/style.py")
    expect_jobs(project.snakemake(), *(f"draw {split}" for split in SPLITS), "summarize")


def test_a_deleted_figure_is_drawn_again(project):
    (project / "results/small/splits/second/figures/errors.png").unlink()
    expect_jobs(project.snakemake(), "draw second", "summarize")


def test_an_edit_of_the_style_of_the_lineage_page_runs_only_summarize(project):
    style = "scripts/memtrain/lineage/page/assets/page.css"
    append_line(project / style, "/* a comment */\n")
    expect_jobs(project.snakemake(), "summarize")
    expect_cause(project, "summary/summary.md", f"code:\n  {style}: sha256:")


def test_an_edit_of_the_training_script_trains_all_splits(project):
    append_line(project / "scripts/train.py")
    everything = [job for split in SPLITS for job in jobs_of_split(split)]
    expect_jobs(project.snakemake(), *everything, "summarize")
    expect_cause(project, model("first"), "code:\n  scripts/train.py: sha256:")
    # The weights are the same; the model, and so the evaluation, says which code made it.
    answer = project.lineage("diff", "results/small/splits/first/evaluation.json", status=1)
    assert "why the later one ran: train first runs again" in answer


@pytest.mark.parametrize("place", ["first", "last"])
def test_an_added_split_runs_only_its_own_jobs(project, place):
    new = {"new": {"train": [0, 500], "evaluate": [500, 600]}}

    def add(content):
        splits = content["splits"]
        content["splits"] = new | splits if place == "first" else splits | new

    project.configure(add)
    expect_jobs(project.snakemake(), "resolve_splits", *jobs_of_split("new"), "summarize")
    expect_cause(project, "summary/summary.csv", "splits/new/evaluation.json: nothing -> sha256:")
    log = project.lineage("log", "results/small/splits/new/model.safetensors")
    assert "\n    new\n" in log
    expect_jobs(project.snakemake())


def test_the_model_of_an_added_split_can_be_made_alone(project):
    new = {"train": [0, 500], "evaluate": [500, 600]}
    project.configure(lambda content: content["splits"].update(new=new))
    run = project.snakemake("results/small/splits/new/model.safetensors")
    expect_jobs(run, "resolve_splits", "train new")


def test_a_removed_split_leaves_the_summary(project):
    project.configure(lambda content: content["splits"].pop("second"))
    run = project.snakemake()
    expect_jobs(run, "summarize")
    expect_cause(
        project, "summary/summary.csv", "splits/second/evaluation.json: sha256:", "-> nothing"
    )
    assert b"| second " not in (project / "results/small/summary/summary.md").read_bytes()
    status = subprocess.run(
        ["python", "scripts/status.py", "--once"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert "No longer configured: second. " in status.stdout
    expect_jobs(project.snakemake())


def test_an_edit_of_a_users_model_trains_the_splits_that_use_it(project):
    (project / "own.py").write_text("from layers import Net\n")
    (project / "layers.py").write_text("from torch import nn\n\nclass Net(nn.Linear):\n    pass\n")
    own = {"model": "own:Net"}
    project.configure(lambda content: content["splits"]["first"].update(training=own))
    expect_jobs(project.snakemake(), "resolve_splits", *jobs_of_split("first"), "summarize")
    expect_cause(project, model("first"), "training.model.name: mlp -> own:Net")
    append_line(project / "layers.py")
    expect_jobs(project.snakemake(), "resolve_splits", *jobs_of_split("first"), "summarize")
    expect_cause(project, model("first"), "code:\n  layers.py: sha256:")


def test_other_settings_of_how_to_run_run_nothing(project):
    project.configure(lambda content: content.update(loading={"stage": "always"}))
    arguments = ["--set-resources", "train:launcher=python -O", "--retries", "2"]
    expect_jobs(project.snakemake(*arguments, cores=1))
