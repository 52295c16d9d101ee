"""What the rules cost: CPU seconds of ``snakemake -n`` with many splits, beside plain rules.

The plain workflow has the same jobs between the same files, the checkpoint included, but its rules
have no function: it shows what Snakemake itself takes for such a graph.
"""

import resource
import shutil
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.many_splits import make_resolved_project, snakemake
from benchmarks.measuring import Comparison, Work, compare, spread

PLAIN_RULES = """
SPLITS = [f"s{number}" for number in range(%d)]

checkpoint resolve_splits:
    input:
        data="data.npy",
    output:
        splits=expand("splits/{split}/split.json", split=SPLITS),
    shell:
        "python"

rule train:
    input:
        verdict=ancient("data.npy"),
        data=ancient("data.npy"),
        split=ancient("splits/{split}/split.json"),
    output:
        model="plain/{split}/model",
        history="plain/{split}/history",
        validation="plain/{split}/validation",
    log:
        "plain/{split}/train.log",
    benchmark:
        "plain/{split}/train.jsonl"
    shell:
        "python {input.data}"

rule evaluate:
    input:
        verdict=ancient("data.npy"),
        data=ancient("data.npy"),
        split=ancient("splits/{split}/split.json"),
        model="plain/{split}/model",
        history="plain/{split}/history",
    output:
        evaluation="plain/{split}/evaluation",
        predictions="plain/{split}/predictions",
    log:
        "plain/{split}/evaluate.log",
    benchmark:
        "plain/{split}/evaluate.jsonl"
    shell:
        "python {input.data}"

rule draw:
    input:
        verdict=ancient("data.npy"),
        split=ancient("splits/{split}/split.json"),
        evaluation="plain/{split}/evaluation",
        predictions="plain/{split}/predictions",
        history="plain/{split}/history",
        validation="plain/{split}/validation",
    output:
        one="plain/{split}/one.png",
        two="plain/{split}/two.png",
        three="plain/{split}/three.png",
        made_from="plain/{split}/made_from",
    log:
        "plain/{split}/draw.log",
    benchmark:
        "plain/{split}/draw.jsonl"
    shell:
        "python {input.split}"

rule summarize:
    input:
        splits=ancient(expand("splits/{split}/split.json", split=SPLITS)),
        evaluations=expand("plain/{split}/evaluation", split=SPLITS),
        figures=expand("plain/{split}/made_from", split=SPLITS),
    output:
        "plain/summary.csv",
    shell:
        "python"

rule all:
    input:
        "plain/summary.csv",
        rules.resolve_splits.output,
        expand(rules.train.output, split=SPLITS),
        expand(rules.evaluate.output, split=SPLITS),
        expand(rules.draw.output, split=SPLITS),
    default_target: True
"""


def make_project(folder: Path, splits: int) -> None:
    """Make a project whose splits are resolved and not yet trained, and its plain counterpart."""
    make_resolved_project(folder, splits, rows_trained=50)
    results = folder / "results" / "x"
    shutil.copy(results / "data.npy", folder)
    shutil.copytree(results / "splits", folder / "splits", copy_function=shutil.copy)
    (folder / "Plain").write_text(PLAIN_RULES % splits)


def main() -> str:
    """Return the table, for 50 and for 500 splits."""
    lines = [
        "### Overhead of the workflow",
        "",
        "| splits | memtrain, CPU seconds, median (range) | plain rules | memtrain / plain |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, (50, 500))])


def _line(splits: int) -> str:
    """Return the line of a number of splits."""
    comparison = _compare_dry_runs(splits)
    memtrain, plain = (
        [1 / rate for rate in comparison.rates[name]] for name in ("memtrain", "plain rules")
    )
    ratio = comparison.ratio("plain rules", "memtrain")
    cells = [str(splits), *(spread(values, "{:.2f}") for values in (memtrain, plain, ratio))]
    return f"| {' | '.join(cells)} |"


def _compare_dry_runs(splits: int) -> Comparison:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder, splits)

        def dry_run(*arguments: str) -> Work:
            before = _cpu_seconds()
            snakemake(folder, "-n", "--quiet", "all", *arguments)
            return Work(1, _cpu_seconds() - before)

        programs = {"plain rules": partial(dry_run, "-s", "Plain"), "memtrain": dry_run}
        return compare(programs, "dry runs/CPU-s", runs=7)


def _cpu_seconds() -> float:
    """Return what the processes that have ended computed, which other work changes little."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
