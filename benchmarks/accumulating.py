"""What exact, resumable training costs: kinds of reduction, numbers of processes, checkpoints."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.measuring import Work, compare, spread
from benchmarks.trainings import MockTraining, Sizes, make_training, train, training_work

NETWORKS = {
    "20-64-1, batch 16 x 8": Sizes(
        features=20, hidden=(64,), rows=200_000, batch_size=16, accumulation_steps=8, epochs=2
    ),
    "128-256-1, batch 256 x 8": Sizes(
        features=128, hidden=(256,), rows=600_000, batch_size=256, accumulation_steps=8, epochs=1
    ),
}

LARGE_NETWORK = Sizes(
    features=1024,
    hidden=(2048, 2048),
    rows=16_384,
    batch_size=64,
    accumulation_steps=8,
    epochs=1,
)


@dataclass(frozen=True)
class CheckpointedNetwork:
    """A network whose checkpoints are measured.

    Attributes:
        name: name in the table.
        sizes: sizes of its training.
        steps: optimizer steps from one checkpoint to the next.
    """

    name: str
    sizes: Sizes
    steps: int


CHECKPOINTED = [
    *(CheckpointedNetwork(name, sizes, steps=100) for name, sizes in NETWORKS.items()),
    CheckpointedNetwork("1024-2048-2048-1 (6.3 million parameters)", LARGE_NETWORK, steps=10),
]

#: Minutes between two checkpoints, of which the time to save one is given as a share.
_MINUTES = 5

RUNS = 3


def main() -> str:
    """Return the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = [_reductions(folder, network, sizes) for network, sizes in NETWORKS.items()]
        return "\n\n".join([*tables, _checkpoints(folder)])


def _reductions(folder: Path, network: str, sizes: Sizes) -> str:
    """Return the table of one network: both reductions, each in one process and in two."""
    programs = {}
    for reduction in ("reproducible", "fast"):
        training = make_training(folder, sizes, reduction=reduction)
        for processes in (1, 2):
            name = f"{reduction}, {processes} process{'es' if processes > 1 else ''}"
            programs[name] = partial(_train, folder, training, processes)
    comparison = compare(programs, "rows/s", runs=RUNS, warm_up=False)
    return f"### Training: {network}\n\n" + comparison.table("reproducible, 1 process")


def _train(folder: Path, training: MockTraining, processes: int) -> Work:
    return training_work(train(folder, training, processes=processes))


def _checkpoints(folder: Path) -> str:
    """Return the table of the time that saving a checkpoint takes."""
    lines = [
        "### Checkpoints: what saving costs",
        "",
        f"| network | seconds a checkpoint, median (range) | share of {_MINUTES} minutes |",
        "|---|---|---|",
    ]
    for network in CHECKPOINTED:
        seconds = _seconds_per_checkpoint(folder, network)
        share = median(seconds) / (60 * _MINUTES)
        lines.append(f"| {network.name} | {spread(seconds, '{:.3f}')} | {share:.4%} |")
    return "\n".join(lines)


def _seconds_per_checkpoint(folder: Path, network: CheckpointedNetwork) -> list[float]:
    training = make_training(folder, network.sizes)
    checkpoints = (training.recipe.training.sizes.steps - 1) // network.steps
    running = f"{{checkpoint: {{steps: {network.steps}}}}}"
    seconds = []
    for _ in range(RUNS):
        performance = train(folder, training, running=running)
        seconds.append(performance.saving_share * performance.seconds / checkpoints)
    return seconds
