"""Small trainings and their evaluations on Slurm: CPU seconds of a split, by the way to submit it.

The benchmark starts the Slurm of the tests, which has four nodes on this machine, and needs the
same programs as the tests. CPU seconds are those of Slurm, of Snakemake and of everything that they
start: this process becomes the parent of what outlives its own, as the steps of jobs do.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.many_splits import environment, make_resolved_project
from benchmarks.small_trainings import (
    ROWS_TRAINED,
    adopt_orphans,
    await_all,
    cpu_seconds_of_children,
)

#: Splits of the ways that start a Snakemake for each job, and of the others.
FEW_SPLITS = 8
SPLITS = 100

#: Cores of a job that splits share, which are those of this machine.
CORES = "2"

_SNAKEMAKE = (sys.executable, "-m", "snakemake")
_NO_FIGURES = ("--omit-from", "draw")
_QUICKLY = ("--slurm-init-seconds-before-status-checks", "5")
_PLUGIN = (*_SNAKEMAKE, "--profile", "profiles/slurm", *_QUICKLY, "--slurm-array-jobs", "none")


@dataclass(frozen=True)
class Way:
    """A way to bring trainings into the queue.

    Attributes:
        name: how the table calls it.
        splits: number of splits that are measured.
        command: command line that ends when all splits are evaluated.
    """

    name: str
    splits: int
    command: tuple[str, ...]


WAYS = (
    Way("a job each", FEW_SPLITS, _PLUGIN),
    Way(
        "groups of 4, plugin for Slurm",
        FEW_SPLITS,
        (
            *(*_PLUGIN, "--cores", CORES, "--groups", "train=split", "evaluate=split"),
            *("--group-components", "split=4"),
        ),
    ),
    Way(
        "one job, `one_job.sh`",
        SPLITS,
        (
            *("sbatch", "--wait", f"--cpus-per-task={CORES}", "--mem=8G", "--time=600"),
            "profiles/slurm/one_job.sh",
        ),
    ),
)


@dataclass(frozen=True)
class Measurement:
    """What a way took.

    Attributes:
        seconds: seconds from start to end.
        cpu_seconds: CPU seconds of Slurm and all that ran.
        jobs: number of jobs of Slurm.
        models: bytes of the models, in the order of their splits.
    """

    seconds: float
    cpu_seconds: float
    jobs: int
    models: list[bytes]


def main() -> str:
    """Return the table."""
    from tests.cluster.slurm import reason_unavailable

    title = "### Small trainings on Slurm\n\n"
    if reason := reason_unavailable():
        return f"{title}Not measured: {reason}."
    adopt_orphans()
    lines = [
        "| | splits | jobs of Slurm | start to end, s | CPU seconds | of a split |",
        "|---|---|---|---|---|---|",
    ]
    models = []
    for way in WAYS:
        taken = measure(way)
        models.append(taken.models[:FEW_SPLITS])
        lines.append(
            f"| {way.name} | {way.splits} | {taken.jobs} | {taken.seconds:.0f} "
            f"| {taken.cpu_seconds:.0f} | {taken.cpu_seconds / way.splits:.2f} |"
        )
    if any(found != models[0] for found in models):
        raise RuntimeError("models differ, or are missing")
    return title + "\n".join(lines)


def measure(way: Way) -> Measurement:
    """Train and evaluate all splits on a Slurm of their own."""
    from tests.cluster.slurm import Slurm

    with tempfile.TemporaryDirectory() as name:
        project = make_resolved_project(Path(name) / "x", way.splits, ROWS_TRAINED)
        await_all()
        before = cpu_seconds_of_children()
        with Slurm(Path(name) / "slurm") as slurm:
            start = time.perf_counter()
            run(project, *way.command, *_NO_FIGURES)
            seconds = time.perf_counter() - start
            jobs = jobs_submitted(slurm.run("scontrol", "show", "config"))
        await_all()
        paths = [
            project / f"results/x/splits/s{number}/model.safetensors"
            for number in range(way.splits)
        ]
        cpu_seconds = cpu_seconds_of_children() - before
        return Measurement(seconds, cpu_seconds, jobs, [path.read_bytes() for path in paths])


def run(project: Path, *command: str) -> None:
    """Run a command in a project.

    Raises:
        RuntimeError: with what it printed, if it fails.
    """
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        logs = [path.read_text() for path in project.glob("slurm-*.out")]
        raise RuntimeError("\n".join([done.stdout, done.stderr, *logs]))


def jobs_submitted(configuration: str) -> int:
    """Return how many jobs a Slurm has had, from what it says of itself."""
    (line,) = [line for line in configuration.splitlines() if line.startswith("NEXT_JOB_ID")]
    return int(line.partition("=")[2]) - 1
