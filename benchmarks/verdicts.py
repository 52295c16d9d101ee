"""What it costs to read what results were made from: the verdicts, beside ``snakemake -n``.

The results of the splits are small files with the statements that real ones have, so that all of
them are current and nothing is left to do, as in most calls.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.many_splits import make_resolved_project, snakemake
from benchmarks.measuring import spread
from memtrain.config.results import ResultsLayout
from memtrain.data.made_from import write_statement
from memtrain.lineage.queries.currency import today_of
from memtrain.recipes.model_file import ModelOrigin
from memtrain.system import checked_json
from memtrain.system.digests import digest_of_file
from memtrain.training.weights import write_weights
from memtrain.workflow.judge import Judge
from memtrain.workflow.today import Today

RUNS = 3


def main() -> str:
    """Return the table, for 50, 500 and 5000 splits."""
    lines = [
        "### Cost of the verdicts",
        "",
        "| splits | verdicts, seconds, median (range) | snakemake -n, seconds | share |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, (50, 500, 5000))])


def _line(splits: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_resolved_project(folder, splits, rows_trained=50)
        before = Path.cwd()
        os.chdir(folder)
        try:
            write_results(folder)
            dry_run(folder)  # The first call reads all code, and keeps what it found.
            pairs = [(_seconds(judge_all, folder), _seconds(dry_run, folder)) for _ in range(RUNS)]
        finally:
            os.chdir(before)
    verdicts, whole = zip(*pairs, strict=True)
    share = [one / all_ for one, all_ in pairs]
    cells = [spread(values, "{:.2f}") for values in (list(verdicts), list(whole), share)]
    return f"| {' | '.join([f'{splits:,}', *cells])} |"


def write_results(folder: Path) -> None:
    """Write small results of every split that say what they would be made from now."""
    today, results = now(folder)
    for split in today.splits:
        files = results.split(split)
        files.folder.mkdir(parents=True, exist_ok=True)
        files.history.write_text("step,epoch,rows,loss\n")
        files.validation.write_text("step,epoch,rows,loss\n")
        made = {file.name: digest_of_file(file) for file in (files.history, files.validation)}
        write_weights(files.model, {"w": torch.zeros(64)}, ModelOrigin(today.model(split), made))
        np.save(files.predictions, np.zeros(100, np.float32))
        predictions = {"predictions.npy": digest_of_file(files.predictions)}
        statement = {"made_from": today.evaluation(split), "files": predictions}
        checked_json.write(files.evaluation, statement)
        for figure in ("predictions.png", "errors.png", "learning_curve.png"):
            (files.figures.parent / figure).parent.mkdir(exist_ok=True)
            (files.figures.parent / figure).write_bytes(b"a figure")
        write_statement(files.figures, today.figures(split), files.figures.parent.glob("*.png"))
    results.summary.parent.mkdir(exist_ok=True)
    for name in ("summary.csv", "summary.md", "comparison.png", "lineage.html"):
        (results.summary.parent / name).write_text("a summary\n")
    write_statement(results.summary, today.summary(), results.summary.parent.glob("*.*"))


def judge_all(folder: Path) -> None:
    """Judge all results, as the workflow does.

    Raises:
        RuntimeError: if one is not current.
    """
    today, _ = now(folder)
    judge = Judge(today)
    found = [judge.rows(), judge.manifest(), judge.recipes(), judge.summary()]
    for split in today.splits:
        found += [judge.training(split), judge.evaluation(split), judge.figures(split)]
    stale = [one for one in found if not one.is_current]
    if stale:
        raise RuntimeError(f"{len(stale)} results are not current: {stale[0]}")


def dry_run(folder: Path) -> None:
    """Ask Snakemake what it would do."""
    snakemake(folder, "-n", "--quiet", "all")


def now(folder: Path) -> tuple[Today, ResultsLayout]:
    """Return what the results of the project would be made from now, and where they lie."""
    results = ResultsLayout.of_dataset("x")
    return today_of(results, folder, folder / "scripts"), results


def _seconds(act, folder: Path) -> float:
    start = time.perf_counter()
    act(folder)
    return time.perf_counter() - start
