"""Exact sums beside the fastest ones in one process, where sums and not calls take the time."""

import gc
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.measuring import Work, compare, spread
from benchmarks.trainings import MockTraining, Sizes, make_training, training_work
from memtrain.training.trainer import Trainer

NETWORKS = {
    "1024-1024-1024-1 (2.1 million), batch 64 x 8": Sizes(
        1024, (1024, 1024), rows=8_192, batch_size=64, accumulation_steps=8, epochs=1
    ),
    "1024-2048-2048-1 (6.3 million), batch 64 x 8": Sizes(
        1024, (2048, 2048), rows=4_096, batch_size=64, accumulation_steps=8, epochs=1
    ),
    "1024-2048-2048-1 (6.3 million), batch 256 x 8": Sizes(
        1024, (2048, 2048), rows=8_192, batch_size=256, accumulation_steps=8, epochs=1
    ),
}

RUNS = 5


def main() -> str:
    """Return the table."""
    lines = [
        "### Exact or fast, where sums decide (one process)",
        "",
        "| network | fast, rows/s | exact, rows/s | exact / fast | by CPU time |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for network, sizes in NETWORKS.items():
            programs = {}
            for reduction in ("fast", "reproducible"):
                training = make_training(Path(folder), sizes, reduction=reduction)
                programs[reduction] = partial(_train, training)
            found = compare(programs, "rows/s", runs=RUNS)
            rates = [spread(found.rates[name], "{:,.0f}") for name in programs]
            ratios = [
                spread(ratio("reproducible", "fast"), "{:.2f}")
                for ratio in (found.ratio, found.cpu_ratio)
            ]
            lines.append(f"| {network} | {' | '.join(rates + ratios)} |")
    return "\n".join(lines)


def _train(training: MockTraining) -> Work:
    trainer = Trainer(training.recipe, training.data)
    start = time.thread_time()
    work = training_work(trainer.run().performance)
    cpu_seconds = time.thread_time() - start
    gc.collect()
    return Work(work.units, work.seconds, cpu_seconds)
