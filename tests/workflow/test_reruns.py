"""What runs again after a change: exactly what the change reaches, in one call."""

import os
import time

import numpy as np
import pytest

MODELS = "splits/*/model.safetensors"

SPLITS = ("first", "second", "share")


def again(split):
    return [f"train {split}", f"evaluate {split}", f"draw {split}"]


def expect(run, *jobs):
    assert run.jobs == sorted(jobs), run.output


def cause(project, file, *parts, name="small"):
    """See that lineage can say why the last run of a job differs from the one before."""
    answer = project.lineage("diff", f"results/{name}/{file}", status=1)
    for part in parts:
        assert part in answer, answer


def model(split):
    return f"splits/{split}/model.safetensors"


def append_line(path, line="# a comment\n"):
    with open(path, "a") as file:
        file.write(line)


def test_nothing_changed(project):
    start = time.monotonic()
    run = project.snakemake()
    expect(run)
    assert "Nothing to be done" in run.output
    assert time.monotonic() - start < 30


def touch(paths):
    later = time.time()
    for path in paths:
        os.utime(path, (later, later))


def test_every_file_touched(project):
    files = (path for path in project.folder.rglob("*") if path.is_file())
    touch(path for path in files if ".snakemake" not in path.parts)
    expect(project.snakemake())


def test_data_code_and_recipes_touched(project):
    touch(project.folder.rglob("*.py"))
    touch((project / "results").rglob("split.json"))
    expect(project.snakemake())
    touch([project / "results/small/data.npy"])
    # The large file is read again, to see that it is the same; nothing is trained.
    expect(project.snakemake(), "index_shards", "resolve_splits")
    answer = project.lineage("diff", "results/small/manifest.json")
    assert "Updated input files: results/small/data.npy" in answer
    assert "nothing differs" in answer
    expect(project.snakemake())


def test_a_comment_in_the_configuration(project):
    append_line(project / "config.yaml")
    expect(project.snakemake())


def test_rows_appended(project):
    project.configure(lambda content: content["dataset"]["mock"].update(rows=20_010))
    models = project.results(MODELS)
    # Only the split whose ranges are shares of the rows has other rows now.
    data = ["generate_data", "index_shards", "resolve_splits"]
    expect(project.snakemake(), *data, *again("share"), "summarize")
    after = project.results(MODELS)
    assert [name for name in models if models[name] != after[name]] == [
        "splits/share/model.safetensors"
    ]
    cause(project, model("share"), "data:\n  rows: [2000, 4000) -> [2001, 4002)")
    cause(project, "data.npy", "settings:\n  mock.rows: 20000 -> 20010")


def change_row(project, number):
    rows = np.load(project / "results/small/data.npy", mmap_mode="r+")
    rows["features"][number, 0] += 1
    rows.flush()


@pytest.mark.parametrize(
    ("row", "splits"),
    [
        (1400, ["first"]),
        # In a shard that two splits touch, but in the rows of neither.
        (1600, []),
        (2500, ["second", "share"]),
    ],
)
def test_one_row_changed(project, row, splits):
    change_row(project, row)
    jobs = [job for split in splits for job in again(split)] + (["summarize"] if splits else [])
    expect(project.snakemake(), "index_shards", "resolve_splits", *jobs)
    for split in splits:
        shard = row // 1000
        cause(project, model(split), "data:\n  bytes of rows [", f"of shard {shard}: sha256:")
    cause(project, "manifest.json", f"data:\n  bytes of rows [{row // 1000 * 1000}, ")
    expect(project.snakemake())


def test_an_evaluated_row_changed(project):
    change_row(project, 19_500)
    evaluated = [f"{rule} {split}" for rule in ("evaluate", "draw") for split in SPLITS]
    expect(project.snakemake(), "index_shards", "resolve_splits", *evaluated, "summarize")
    cause(project, "splits/share/evaluation.json", "data:\n  bytes of rows [19000, 20000)")


def test_a_range_widened(project):
    project.configure(lambda content: content["splits"]["first"].update(train=[0, 1501]))
    expect(project.snakemake(), "resolve_splits", *again("first"), "summarize")
    cause(project, model("first"), "data:\n  rows: [0, 1500) -> [0, 1501)")
    cause(project, "splits/first/split.json", "splits.first.train: [0, 1500] -> [0, 1501]")
    cause(project, "splits/first/evaluation.json", "splits/first/model.safetensors: sha256:")


def test_a_learning_rate_changed(project):
    own = {"optimizer": {"lr": "2e-3"}}
    project.configure(lambda content: content["splits"]["second"].update(training=own))
    expect(project.snakemake(), "resolve_splits", *again("second"), "summarize")
    cause(project, model("second"), "training.optimizer.lr: 0.001 -> 0.002", "settings:")
    expect(project.snakemake())


def test_two_values_swapped(project):
    sizes = {"batch_size": 4, "accumulation_steps": 32}
    project.configure(lambda content: content["training"].update(sizes))
    everything = [job for split in SPLITS for job in again(split)]
    expect(project.snakemake(), "resolve_splits", *everything, "summarize")
    cause(project, model("first"), "accumulation_steps: 4 -> 32", "batch_size: 32 -> 4")


def test_an_evaluation_range_changed(project):
    project.configure(lambda content: content["splits"]["first"].update(evaluate=[18_000, 19_000]))
    expect(project.snakemake(), "resolve_splits", "evaluate first", "draw first", "summarize")
    cause(
        project,
        "splits/first/evaluation.json",
        "data:\n  rows: [19000, 20000) -> [18000, 19000)",
    )


OUTSIDE = [
    "cli/entry_point.py",
    "lineage/records/privacy.py",
    "reporting/summary.py",
    "system/progress.py",
    "workflow/result_code.py",
]


def test_code_edited_that_no_model_depends_on(project):
    for file in OUTSIDE:
        append_line(project / "scripts/memtrain" / file)
    # The summary shows what reporting/ and lineage/ say.
    expect(project.snakemake(), "summarize")
    append_line(project / "scripts/memtrain/cli/entry_point.py")
    expect(project.snakemake())


def test_code_edited_that_a_model_depends_on(project):
    trained = [f"train {split}" for split in ("first", "second", "share")]
    append_line(project / "scripts/memtrain/training/optimizer_step.py")
    run = project.snakemake("--dry-run")
    assert [job for job in run.jobs if job.startswith("train")] == trained
    assert not {"generate_data", "index_shards", "resolve_splits"} & set(run.jobs)


def test_a_module_edited_that_only_the_summary_reaches(project):
    append_line(project / "scripts/memtrain/reporting/summary.py")
    expect(project.snakemake(), "summarize")
    cause(project, "summary/summary.md", "code:\n  scripts/memtrain/reporting/summary.py: sha256:")


def test_a_figure_of_the_splits_edited(project):
    """A new colour draws again: it trains and evaluates nothing."""
    append_line(project / "scripts/memtrain/reporting/figures/regression.py")
    expect(project.snakemake(), *(f"draw {split}" for split in SPLITS))
    cause(
        project,
        "splits/first/figures/predictions.png",
        "code:\n  scripts/memtrain/reporting/figures/regression.py: sha256:",
    )


def test_the_look_of_all_figures_edited(project):
    append_line(project / "scripts/memtrain/reporting/figures/style.py")
    expect(project.snakemake(), *(f"draw {split}" for split in SPLITS), "summarize")


def test_a_figure_that_was_deleted(project):
    (project / "results/small/splits/second/figures/errors.png").unlink()
    expect(project.snakemake(), "draw second")


def test_the_look_of_the_lineage_page_edited(project):
    style = "scripts/memtrain/lineage/page/assets/page.css"
    append_line(project / style, "/* a comment */\n")
    expect(project.snakemake(), "summarize")
    cause(project, "summary/summary.md", f"code:\n  {style}: sha256:")


def test_the_training_script_edited(project):
    append_line(project / "scripts/train.py")
    everything = [job for split in SPLITS for job in again(split)]
    expect(project.snakemake(), *everything, "summarize")
    cause(project, model("first"), "code:\n  scripts/train.py: sha256:")
    # The model is the same, byte for byte: what is left is what Snakemake says.
    answer = project.lineage("diff", "results/small/splits/first/evaluation.json")
    assert "Input files updated by another job" in answer


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_split_added(project, place):
    new = {"new": {"train": [0, 500], "evaluate": [500, 600]}}

    def add(content):
        splits = content["splits"]
        content["splits"] = new | splits if place == "first" else splits | new

    project.configure(add)
    expect(project.snakemake(), "resolve_splits", *again("new"), "summarize")
    cause(project, "summary/summary.csv", "splits/new/evaluation.json: nothing -> sha256:")
    log = project.lineage("log", "results/small/splits/new/model.safetensors")
    assert "Missing output files" in log
    expect(project.snakemake())


def test_a_split_added_and_only_its_model_asked_for(project):
    new = {"train": [0, 500], "evaluate": [500, 600]}
    project.configure(lambda content: content["splits"].update(new=new))
    run = project.snakemake("results/small/splits/new/model.safetensors")
    expect(run, "resolve_splits", "train new")


def test_a_split_removed(project):
    project.configure(lambda content: content["splits"].pop("second"))
    run = project.snakemake()
    expect(run, "resolve_splits", "summarize")
    cause(project, "summary/summary.csv", "splits/second/evaluation.json: sha256:", "-> nothing")
    assert b"| second " not in (project / "results/small/summary/summary.md").read_bytes()
    expect(project.snakemake())


def test_a_model_of_ones_own_edited(project):
    (project / "own.py").write_text("from layers import Net\n")
    (project / "layers.py").write_text("from torch import nn\n\nclass Net(nn.Linear):\n    pass\n")
    own = {"model": "own:Net"}
    project.configure(lambda content: content["splits"]["first"].update(training=own))
    expect(project.snakemake(), "resolve_splits", *again("first"), "summarize")
    cause(project, model("first"), "training.model.name: mlp -> own:Net")
    append_line(project / "layers.py")
    expect(project.snakemake(), "resolve_splits", *again("first"), "summarize")
    cause(project, model("first"), "code:\n  layers.py: sha256:")


def test_how_it_is_run_is_not_what_is_computed(project):
    project.configure(lambda content: content.update(loading={"stage": "always"}))
    arguments = ["--set-resources", "train:launcher=python -O", "--retries", "2"]
    expect(project.snakemake(*arguments, cores=1))
