"""The same training by memtrain and by other libraries, each in an environment of its own."""

import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measuring import Work, compare
from benchmarks.peers.environments import python_for
from benchmarks.trainings import MockTraining, Sizes, make_training, train, training_work

LOOPS = Path(__file__).parent / "loops"


@dataclass(frozen=True)
class Loop:
    """A program of ``loops/``.

    Attributes:
        name: name of the file and of the environment.
        requirements: packages that the program needs in addition to torch and numpy.
    """

    name: str
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A training that memtrain and some loops do.

    Attributes:
        title: title of the table.
        sizes: sizes of the training; its network has one hidden layer.
        loops: the loops by their names in the table; the first is the baseline.
    """

    title: str
    sizes: Sizes
    loops: dict[str, Loop]


PEERS = {
    "plain PyTorch, rows in memory": Loop("pytorch"),
    "Lightning Fabric 2.6.6": Loop("fabric", ("lightning==2.6.6",)),
    "Accelerate 1.15.0": Loop("hf_accelerate", ("accelerate==1.15.0",)),
}

FIRST_PROGRAM = {"the plain program, a row at a time": Loop("plain")}


def _small(rows: int) -> Sizes:
    return Sizes(
        features=20, hidden=(64,), rows=rows, batch_size=16, accumulation_steps=8, epochs=3
    )


_WIDE = Sizes(
    features=128, hidden=(256,), rows=200_000, batch_size=256, accumulation_steps=8, epochs=3
)

TASKS = [
    Task("20-64-1, batch 16 x 8, 200,000 rows", _small(200_000), PEERS),
    Task("128-256-1, batch 256 x 8, 200,000 rows", _WIDE, PEERS),
    Task("20-64-1, batch 16 x 8, 10,000 rows", _small(10_000), FIRST_PROGRAM),
]

RUNS = 5


def main() -> str:
    """Return the tables: rows per second of the loop, without the start of the program."""
    with tempfile.TemporaryDirectory() as folder:
        return "\n\n".join(_table(Path(folder), task) for task in TASKS)


def _table(folder: Path, task: Task) -> str:
    training = make_training(folder, task.sizes)
    programs = {"memtrain, rows from the file": lambda: training_work(train(folder, training))}
    for name, loop in task.loops.items():
        # The environment is made now, so that its installation is not measured.
        python = python_for(loop)
        programs[name] = partial(_run_loop, python, loop, task.sizes, training)
    baseline = next(iter(task.loops))
    comparison = compare(programs, "rows/s", runs=RUNS, warm_up=False)
    return f"### {task.title}\n\n" + comparison.table(baseline)


def _run_loop(python: Path, loop: Loop, sizes: Sizes, training: MockTraining) -> Work:
    (hidden,) = sizes.hidden
    numbers = map(str, (hidden, sizes.batch_size, sizes.accumulation_steps, sizes.epochs))
    command = [str(python), str(LOOPS / f"{loop.name}.py"), training.data, *numbers]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, seconds = done.stdout.split()[-2:]
    return Work(float(rows), float(seconds))
