"""Many small trainings on Slurm: a job each, in arrays, and in groups that share a job.

The benchmark starts the Slurm of the tests, which has four nodes on this machine, and needs the
same programs as the tests. Submission is measured while the nodes take no jobs, so that nothing
runs beside it.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from benchmarks.many_splits import environment, make_resolved_project

if TYPE_CHECKING:
    from tests.cluster.slurm import Slurm

SPLITS_SUBMITTED = 200
SPLITS_RUN = 16

#: Options of Snakemake, in addition to the profile, by the way to bring trainings into the queue.
WAYS = {
    "a job each": ["--slurm-array-jobs", "none"],
    "arrays": ["--slurm-array-jobs", "train"],
    "groups of {size}": ["--groups", "train=split", "--group-components", "split={size}"],
}

#: Trainings of a group that run at the same time.
TRAININGS_AT_A_TIME = 4


def main() -> str:
    """Return the tables."""
    from tests.cluster.slurm import Slurm, reason_unavailable

    if reason := reason_unavailable():
        return f"### Many trainings on a cluster\n\nNot measured: {reason}."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Slurm(folder / "slurm") as slurm:
            submitted = make_resolved_project(
                folder / "submitted", SPLITS_SUBMITTED, rows_trained=500
            )
            trained = make_resolved_project(folder / "run", SPLITS_RUN, rows_trained=500)
            submissions = [submission_line(slurm, submitted, way) for way in WAYS]
            runs = [run_line(trained, way) for way in WAYS]
    return "\n".join(
        [
            "### Many trainings on a cluster",
            "",
            f"{SPLITS_SUBMITTED} splits, submitted:",
            "",
            "| | start and graph, s | submission, s | calls of sbatch |",
            "|---|---|---|---|",
            *submissions,
            "",
            f"{SPLITS_RUN} splits, trained:",
            "",
            "| | start to end, s | of a training, s | calls of sbatch |",
            "|---|---|---|---|",
            *runs,
        ]
    )


def start_snakemake(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start Snakemake in a folder, and return the process."""
    with open(folder / "snakemake.txt", "w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def start_trainings(folder: Path, way: str, size: int) -> subprocess.Popen:
    """Start Snakemake on Slurm for the models of all splits, and return the process.

    Args:
        folder: folder of the project.
        way: a key of ``WAYS``.
        size: number of trainings in a group.
    """
    options = [word.format(size=size) for word in WAYS[way]]
    splits = yaml.safe_load((folder / "config.yaml").read_text())["splits"]
    models = [f"results/x/splits/{name}/model.safetensors" for name in splits]
    return start_snakemake(
        folder,
        *models,
        *("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "5"),
        *("--cores", str(TRAININGS_AT_A_TIME), "--latency-wait", "10", *options),
    )


def submission_line(slurm: "Slurm", folder: Path, way: str) -> str:
    """Return a line: seconds until the first job is in the queue, and from then until all are."""
    size = SPLITS_SUBMITTED // 8
    expected = SPLITS_SUBMITTED // size if "groups" in way else SPLITS_SUBMITTED
    slurm.run("scontrol", "update", "PartitionName=main", "State=DOWN")
    start = time.perf_counter()
    process = start_trainings(folder, way, size)
    first = wait_for(process, lambda: pending_jobs(slurm) > 0, folder)
    last = wait_for(process, lambda: pending_jobs(slurm) >= expected, folder)
    calls = sbatch_calls(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    slurm.run("scancel", "--user=root")
    slurm.run("scontrol", "update", "PartitionName=main", "State=UP")
    unlocked = start_snakemake(folder, "--unlock", "--cores", "1")
    unlocked.wait()
    name = way.format(size=size)
    return f"| {name} | {first - start:.1f} | {last - first:.1f} | {calls} |"


def run_line(folder: Path, way: str) -> str:
    """Return a line: seconds until all models are trained."""
    size = SPLITS_RUN // 2
    for path in folder.glob("results/x/splits/*/model.safetensors"):
        path.unlink()
    start = time.perf_counter()
    process = start_trainings(folder, way, size)
    if process.wait():
        raise RuntimeError((folder / "snakemake.txt").read_text())
    seconds = time.perf_counter() - start
    cells = [f"{seconds:.0f}", f"{seconds / SPLITS_RUN:.1f}", str(sbatch_calls(folder))]
    return f"| {way.format(size=size)} | {' | '.join(cells)} |"


def pending_jobs(slurm: "Slurm") -> int:
    """Return how many jobs are pending; each task of an array counts."""
    return len(slurm.run("squeue", "--array", "--states=PENDING", "--noheader").splitlines())


def sbatch_calls(folder: Path) -> int:
    """Return how many submissions Snakemake has printed."""
    output = (folder / "snakemake.txt").read_text()
    return output.count("SLURM jobid") + output.count("SLURM job ID")


def wait_for(process: subprocess.Popen, condition: Callable[[], bool], folder: Path) -> float:
    """Wait until a condition holds, and return the time at which it does.

    Raises:
        RuntimeError: with the output of Snakemake, if it ends before.
    """
    while not condition():
        if process.poll() is not None:
            raise RuntimeError((folder / "snakemake.txt").read_text())
        time.sleep(0.1)
    return time.perf_counter()
