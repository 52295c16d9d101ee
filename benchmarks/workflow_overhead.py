"""What the rules' functions cost: ``snakemake -n`` with many splits, and with plain rules.

The plain workflow has the same jobs between the same files, the checkpoint included, as rules
without a single function: what Snakemake itself takes for such a graph.
"""

import shutil
import tempfile
from pathlib import Path

from benchmarks.many_splits import make_resolved_project, snakemake
from benchmarks.measuring import compare

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
        performance="plain/{split}/performance",
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
        performances=expand("plain/{split}/performance", split=SPLITS),
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
        [str(path.relative_to(folder)) for path in code(folder / "scripts", script)]
        for script in ("train", "evaluate", "draw")
    )
    (folder / "Plain").write_text(PLAIN_RULES % (splits, train, evaluate, draw))


def code(scripts: Path, script: str) -> list[Path]:
    """Return the code that the results of a script depend on."""
    from memtrain.workflow.result_code import result_code

    return [file.path for file in result_code(scripts / f"{script}.py")]


def main() -> str:
    """Return the tables, for 50 and for 500 splits."""
    tables = []
    for splits in (50, 500):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_project(folder, splits)

            def ours(folder: Path = folder) -> float:
                snakemake(folder, "-n", "--quiet", "all")
                return 1

            def plain(folder: Path = folder) -> float:
                snakemake(folder, "-n", "--quiet", "all", "-s", "Plain")
                return 1

            comparison = compare({"plain rules": plain, "memtrain": ours}, "dry runs/s", runs=3)
        seconds = {
            program: [1 / rate for rate in rates] for program, rates in comparison.rates.items()
        }
        tables.append((splits, seconds))
    return "### Overhead of the workflow\n\n" + _table(tables)


def _table(tables: list[tuple[int, dict[str, list[float]]]]) -> str:
    from benchmarks.measuring import spread

    lines = [
        "| splits | memtrain, seconds, median (range) | plain rules, seconds | memtrain / plain |",
        "|---|---|---|---|",
    ]
    for splits, seconds in tables:
        ours, plain = seconds["memtrain"], seconds["plain rules"]
        ratio = [one / other for one, other in zip(ours, plain, strict=True)]
        cells = [str(splits), *(spread(values, "{:.2f}") for values in (ours, plain, ratio))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
