"""What the functions of the rules cost: ``snakemake -n`` with many splits, beside plain rules.

The plain workflow has the same jobs between the same files, the checkpoint included, but its rules
have no function: it shows what Snakemake itself takes for such a graph.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.many_splits import make_resolved_project, snakemake
from benchmarks.measuring import Comparison, compare, spread

PLAIN_RULES = """
SPLITS = [f"s{number}" for number in range(%d)]

rule all:
    input:
        "plain/summary.csv",
        expand("plain/{split}/one.png", split=SPLITS),

checkpoint resolve_splits:
    input:
        data="data.npy",
    output:
        splits=expand("splits/{split}/split.json", split=SPLITS),
    shell:
        "python"

rule train:
    input:
        code=%r,
        data=ancient("data.npy"),
        split=ancient("splits/{split}/split.json"),
    output:
        model="plain/{split}/model",
        history="plain/{split}/history",
    log:
        "plain/{split}/train.log",
    shell:
        "python {input.code[0]}"

rule evaluate:
    input:
        code=%r,
        data=ancient("data.npy"),
        split=ancient("splits/{split}/split.json"),
        model="plain/{split}/model",
        history="plain/{split}/history",
    output:
        evaluation="plain/{split}/evaluation",
        predictions="plain/{split}/predictions",
    log:
        "plain/{split}/evaluate.log",
    shell:
        "python {input.code[0]}"

rule draw:
    input:
        code=%r,
        split=ancient("splits/{split}/split.json"),
        evaluation="plain/{split}/evaluation",
        predictions="plain/{split}/predictions",
        history="plain/{split}/history",
    output:
        one="plain/{split}/one.png",
        two="plain/{split}/two.png",
        three="plain/{split}/three.png",
    log:
        "plain/{split}/draw.log",
    shell:
        "python {input.code[0]}"

rule summarize:
    input:
        splits=ancient(expand("splits/{split}/split.json", split=SPLITS)),
        evaluations=expand("plain/{split}/evaluation", split=SPLITS),
    output:
        "plain/summary.csv",
    shell:
        "python"
"""


def make_project(folder: Path, splits: int) -> None:
    """Make a project whose splits are resolved and not yet trained, and its plain counterpart."""
    make_resolved_project(folder, splits, rows_trained=50)
    results = folder / "results" / "x"
    shutil.copy(results / "data.npy", folder)
    shutil.copytree(results / "splits", folder / "splits", copy_function=shutil.copy)
    train, evaluate, draw = (
        [str(path.relative_to(folder)) for path in code_files(folder / "scripts", script)]
        for script in ("train", "evaluate", "draw")
    )
    (folder / "Plain").write_text(PLAIN_RULES % (splits, train, evaluate, draw))


def code_files(scripts: Path, script: str) -> list[Path]:
    """Return the files of code that the results of a script depend on."""
    from memtrain.workflow.result_code import result_code

    return [file.path for file in result_code(scripts / f"{script}.py")]


def main() -> str:
    """Return the table, for 50 and for 500 splits."""
    lines = [
        "### Overhead of the workflow",
        "",
        "| splits | memtrain, seconds, median (range) | plain rules, seconds | memtrain / plain |",
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

        def dry_run(*arguments: str) -> float:
            snakemake(folder, "-n", "--quiet", "all", *arguments)
            return 1

        programs = {"plain rules": partial(dry_run, "-s", "Plain"), "memtrain": dry_run}
        return compare(programs, "dry runs/s", runs=3)
