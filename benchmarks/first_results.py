"""What `memtrain init` and `memtrain run`, unedited, make of datasets of different kinds."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.first_datasets import DATASETS, Dataset, rows_of

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND = REPOSITORY / "scripts" / "memtrain_command.py"


@dataclass(frozen=True)
class Score:
    """A metric of a model and of its baseline.

    Attributes:
        metric: its name.
        value: that of the model.
        error: its standard error.
        baseline: that of a model that knows the training targets alone: their mean, or how often
            each class occurs.
    """

    metric: str
    value: float
    error: float
    baseline: float

    @property
    def gain(self) -> float:
        """How many standard errors the model is better than the baseline."""
        gain = (
            self.value - self.baseline if self.metric == "accuracy" else self.baseline - self.value
        )
        return gain / self.error


@dataclass(frozen=True)
class FirstResult:
    """What came of a dataset.

    Attributes:
        scores: RMSE of a number; cross entropy and accuracy of a class.
        cpu_seconds: CPU seconds that `init` and `run` took, which depend less than their time on
            what else the machine does.
    """

    scores: tuple[Score, ...]
    cpu_seconds: float


def first_result(
    dataset: Dataset, folder: Path, size: float = 1.0, *, python: str = sys.executable
) -> FirstResult:
    """Run a dataset in a folder as a new user would.

    Args:
        dataset: the dataset.
        folder: an empty folder.
        size: how many times the usual number of rows it has.
        python: the Python that runs the command, and by it everything else.

    Raises:
        RuntimeError: where a command fails.
    """
    arguments = dataset.write(folder, rows_of(size))
    before = _cpu_seconds()
    _memtrain(python, folder, "init", *arguments)
    _memtrain(python, folder, "run", "--cores", "2", "--quiet", "all")
    taken = _cpu_seconds() - before
    (path,) = folder.glob("results/*/splits/all/evaluation.json")
    found = json.loads(path.read_text())
    names = ("rmse",) if "rmse" in found["metrics"] else ("cross_entropy", "accuracy")
    scores = tuple(
        Score(name, *(found[part][name] for part in ("metrics", "errors", "baseline")))
        for name in names
    )
    return FirstResult(scores, taken)


def _cpu_seconds() -> float:
    """Return the CPU seconds of all programs that have ended, and of what they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memtrain(python: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [python, COMMAND, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def main() -> str:
    """Return the table of first results."""
    lines = [
        "| dataset | metric | first model | baseline | better by, standard errors | CPU seconds |",
        "|---|---|---|---|---|---|",
    ]
    for dataset in DATASETS.values():
        with tempfile.TemporaryDirectory() as folder:
            lines += _lines(dataset.kind, first_result(dataset, Path(folder)))
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _lines(kind: str, result: FirstResult) -> list[str]:
    seconds = f"{result.cpu_seconds:.0f}"
    lines = []
    for score in result.scores:
        name = score.metric.replace("_", " ").replace("rmse", "RMSE")
        value = f"{score.value:.3g} ± {score.error:.1g}"
        lines.append(
            f"| {kind} | {name} | {value} | {score.baseline:.3g} | {score.gain:.1f} | {seconds} |"
        )
        kind, seconds = "", ""
    return lines
