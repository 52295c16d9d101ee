"""How much a training loses by waiting for rows: the trainer on a file, and on one window."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.measuring import Work, compare, spread
from benchmarks.trainings import MockTraining, Sizes, make_training, training_work
from memtrain.recipes.recipe import Recipe
from memtrain.training.accumulation.accumulator import Window
from memtrain.training.performance import TrainingCost
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer
from memtrain.training.windows import WindowSource

#: The network of config.yaml, and a larger one on more rows than the shuffle buffer holds.
NETWORKS = {
    "20-64-1, batch 16 x 8": Sizes(
        features=20, hidden=(64,), rows=100_000, batch_size=16, accumulation_steps=8, epochs=1
    ),
    "128-256-1, batch 256 x 8": Sizes(
        features=128, hidden=(256,), rows=600_000, batch_size=256, accumulation_steps=8, epochs=2
    ),
}


class ReplayedWindow(WindowSource):
    """Yields the first window again for every step, so that no step waits for rows."""

    def windows(self, first_step: int, cost: TrainingCost) -> Iterator[Window]:
        """Yield a copy of the first window for every step."""
        first = next(super().windows(first_step, cost))
        batches = [
            {name: value.clone() for name, value in batch.items()} for batch in first.batches
        ]
        for step in range(first_step, self._sizes.steps):
            yield replace(first, step=step, batches=batches)


class ReplayingTrainer(Trainer):
    """Trains on the first window again and again."""

    def __init__(self, recipe: Recipe, data: str, context: RunContext | None = None):
        super().__init__(recipe, data, context)
        self._windows = ReplayedWindow(self._loader, recipe.training.sizes)


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
            lines.append(_line(name, make_training(Path(folder), sizes)))
    return "\n".join(lines)


def _line(network: str, training: MockTraining) -> str:
    """Return the line of one network."""
    waiting_shares: list[float] = []

    def train_on_the_file() -> Work:
        performance = Trainer(training.recipe, training.data).run().performance
        waiting_shares.append(performance.waiting_share)
        return training_work(performance)

    def train_on_one_window() -> Work:
        trainer = ReplayingTrainer(training.recipe, training.data)
        return training_work(trainer.run().performance)

    comparison = compare({"file": train_on_the_file, "window": train_on_one_window}, "rows/s")
    file, window = (spread(comparison.rates[name], "{:,.0f}") for name in ("file", "window"))
    share = spread(comparison.ratio("file", "window"), "{:.3f}")
    return f"| {network} | {file} | {window} | {share} | {median(waiting_shares):.3f} |"
