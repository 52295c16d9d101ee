"""What exact, resumable training costs: ways to reduce, numbers of processes, and checkpoints."""

import tempfile
from pathlib import Path

from benchmarks.measuring import compare, spread
from benchmarks.training_speed import recipe_of
from benchmarks.trainings import train

#: Features, hidden, rows, batch size, accumulation steps, epochs.
NETWORKS = {
    "20-64-1, batch 16 x 8": (20, [64], 200_000, 16, 8, 2),
    "128-256-1, batch 256 x 8": (128, [256], 600_000, 256, 8, 1),
}

#: Networks whose checkpoints are measured, and the steps between two of them.
CHECKPOINTED = {name: (sizes, 100) for name, sizes in NETWORKS.items()} | {
    "1024-2048-2048-1 (6.3 million parameters)": ((1024, [2048, 2048], 16_384, 64, 8, 1), 10)
}

_MINUTES = 5

RUNS = 3


def main() -> str:
    """Return the tables."""
    with tempfile.TemporaryDirectory() as name:
        tables = [_table(Path(name), *network) for network in NETWORKS.items()]
        return "\n\n".join([*tables, _checkpoints(Path(name))])


def _table(folder: Path, network: str, sizes: tuple) -> str:
    ways = {
        f"{reduction}, {processes} process{'es' if processes > 1 else ''}": (
            recipe_of(folder, sizes, reduction=reduction),
            processes,
        )
        for reduction in ("reproducible", "fast")
        for processes in (1, 2)
    }

    def run(way: str) -> tuple[float, float]:
        (recipe, data), processes = ways[way]
        performance = train(folder, recipe, data, processes)
        return performance["rows_per_second"] * performance["seconds"], performance["seconds"]

    programs = {way: (lambda way=way: run(way)) for way in ways}
    found = compare(programs, "rows/s", runs=RUNS, warm_up=False)
    return f"### Training: {network}\n\n" + found.table("reproducible, 1 process")


def _checkpoints(folder: Path) -> str:
    lines = [
        "### Checkpoints: what saving costs",
        "",
        f"| network | seconds a checkpoint, median (range) | share of {_MINUTES} minutes |",
        "|---|---|---|",
    ]
    for network, (sizes, steps) in CHECKPOINTED.items():
        recipe, data = recipe_of(folder, sizes)
        saves = (recipe.training.sizes.steps - 1) // steps
        seconds = []
        for _ in range(RUNS):
            found = train(folder, recipe, data, running=f"{{checkpoint: {{steps: {steps}}}}}")
            seconds.append(found["saving_share"] * found["seconds"] / saves)
        share = sorted(seconds)[len(seconds) // 2] / (60 * _MINUTES)
        lines.append(f"| {network} | {spread(seconds, '{:.3f}')} | {share:.4%} |")
    return "\n".join(lines)
