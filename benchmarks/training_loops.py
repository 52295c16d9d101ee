"""The same training by us and by others, each in its own environment: rows/s of the loop."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import compare
from benchmarks.peers.environments import python_of
from benchmarks.training_speed import recipe_of
from benchmarks.trainings import train

LOOPS = Path(__file__).parent / "loops"


@dataclass(frozen=True)
class Loop:
    """A program of ``loops/`` and what it needs besides torch and numpy."""

    name: str
    requirements: tuple[str, ...] = ()


PEERS = {
    "plain PyTorch, rows in memory": Loop("pytorch"),
    "Lightning Fabric 2.6.6": Loop("fabric", ("lightning==2.6.6",)),
    "Accelerate 1.15.0": Loop("hf_accelerate", ("accelerate==1.15.0",)),
}

FIRST_PROGRAM = {"the plain program, a row at a time": Loop("plain")}

#: Title, features, hidden, rows, batch size, steps, epochs, and who takes part.
TASKS = [
    ("20-64-1, batch 16 x 8, 200,000 rows", (20, [64], 200_000, 16, 8, 3), PEERS),
    ("128-256-1, batch 256 x 8, 200,000 rows", (128, [256], 200_000, 256, 8, 3), PEERS),
    ("20-64-1, batch 16 x 8, 10,000 rows", (20, [64], 10_000, 16, 8, 3), FIRST_PROGRAM),
]

RUNS = 5


def main() -> str:
    """Return the tables."""
    with tempfile.TemporaryDirectory() as folder:
        return "\n\n".join(_table(Path(folder), *task) for task in TASKS)


def _table(folder: Path, title: str, sizes: tuple, loops: dict[str, Loop]) -> str:
    _, (hidden,), _, batch_size, steps, epochs = sizes
    recipe, data = recipe_of(folder, sizes)

    def ours() -> tuple[float, float]:
        performance = train(folder, recipe, data)
        return performance["rows_per_second"] * performance["seconds"], performance["seconds"]

    def theirs(loop: Loop) -> tuple[float, float]:
        arguments = map(str, (hidden, batch_size, steps, epochs))
        command = [str(python_of(loop)), str(LOOPS / f"{loop.name}.py"), data, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows, seconds = done.stdout.split()[-2:]
        return float(rows), float(seconds)

    programs = {"memtrain, rows from the file": ours}
    programs |= {name: (lambda loop=loop: theirs(loop)) for name, loop in loops.items()}
    for loop in loops.values():
        python_of(loop)
    found = compare(programs, "rows/s", runs=RUNS, warm_up=False)
    return f"### {title}\n\n" + found.table(list(programs)[1])
