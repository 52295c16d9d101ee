"""What training loses by waiting for rows: the trainer on a file, and replaying one window."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import compare, spread
from memtrain.config.dataset import MockSettings
from memtrain.config.reading import parse_configuration
from memtrain.data.indexing import index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.planning.split_resolution import resolve_splits
from memtrain.recipes.recipe import Recipe
from memtrain.training.accumulation.tree import Window
from memtrain.training.trainer import Trainer

#: Features, hidden, rows, batch size, accumulation steps, epochs: config.yaml's network as it is
#: there, and a larger one on more rows than the shuffle buffer holds.
NETWORKS = {
    "20-64-1, batch 16 x 8": (20, [64], 100_000, 16, 8, 1),
    "128-256-1, batch 256 x 8": (128, [256], 600_000, 256, 8, 2),
}


class Replaying(Trainer):
    """A trainer that takes its first window again and again."""

    def _windows(self) -> Iterator[Window]:
        first = next(windows := super()._windows())
        windows.close()
        batches = [
            {name: value.clone() for name, value in batch.items()} for batch in first.batches
        ]
        for step in range(self._recipe.sizes.steps):
            yield replace(first, step=step, batches=batches)


def recipe_of(folder: Path, sizes: tuple, **training: Any) -> tuple[Recipe, str]:
    """Write mock rows and return the recipe of a training on all of them, and their file."""
    features, hidden, rows, batch_size, steps, epochs = sizes
    settings: dict[str, Any] = {"rows": rows, "features": features}
    data = str(folder / f"{features}.npy")
    source = write_mock_data(data, MockSettings(**settings))
    configuration = parse_configuration(
        {
            "dataset": {"name": "benchmark", "mock": settings},
            "splits": {"all": {"train": [0, rows], "evaluate": [0, 1], "allow_overlap": True}},
            "training": {
                "model": {"name": "mlp", "hidden": hidden},
                "transform": {"name": "scale", "factor": 2, "offset": -1},
                "batch_size": batch_size,
                "accumulation_steps": steps,
                "epochs": epochs,
            }
            | training,
        }
    )
    (recipe,) = resolve_splits(configuration, data, index_shards(data, 1 << 14), source)
    return recipe, data


def main() -> str:
    """Return the table."""
    lines = [
        "### Training: rows from the file (in the page cache), beside one window replayed",
        "",
        "| network | rows/s, median (range) | replaying one window | share | waiting share |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in NETWORKS.items():
            recipe, data = recipe_of(Path(folder), sizes)
            waiting: list[float] = []

            def train(kind: type[Trainer], recipe=recipe, data=data, waiting=waiting) -> tuple:
                performance = kind(recipe, data).run().performance
                if kind is Trainer:
                    waiting.append(performance.waiting_share)
                return performance.rows_per_second * performance.seconds, performance.seconds

            comparison = compare(
                {"file": lambda: train(Trainer), "replay": lambda: train(Replaying)},
                "rows/s",
                runs=7,
            )
            cells = [spread(comparison.rates[kind], "{:,.0f}") for kind in ("file", "replay")]
            share = spread(comparison.ratio("file", "replay"), "{:.3f}")
            lines.append(f"| {name} | {' | '.join(cells)} | {share} | {median(waiting):.3f} |")
    return "\n".join(lines)
