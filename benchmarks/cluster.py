"""Many small trainings on Slurm: a job each, in arrays, and in groups that share a job.

Starts the Slurm of the tests, of four nodes on this machine; needs what they need. Submission is
measured while the nodes take no jobs, so that nothing runs beside it.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.many_splits import environment, make_resolved_project

SPLITS_SUBMITTED, SPLITS_RUN = 200, 16

#: Ways to bring trainings into the queue, by the options that they take besides the profile.
WAYS = {
    "a job each": ["--slurm-array-jobs", "none"],
    "arrays": ["--slurm-array-jobs", "train"],
    "groups of {size}": ["--groups", "train=split", "--group-components", "split={size}"],
}

#: Trainings of a group that run beside each other.
BESIDE = 4


def main() -> str:
    """Return the tables."""
    from tests.cluster.slurm import Slurm, what_is_missing

    if reason := what_is_missing():
        return f"### Many trainings on a cluster\n\nNot measured: {reason}."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Slurm(folder / "slurm") as slurm:
            submitted, run = (
                make_resolved_project(folder / name, splits, rows_trained=500)
                for name, splits in (("submitted", SPLITS_SUBMITTED), ("run", SPLITS_RUN))
            )
            rows = [submission(slurm, submitted, way) for way in WAYS]
            ends = [to_the_end(run, way) for way in WAYS]
    return "\n".join(
        [
            "### Many trainings on a cluster",
            "",
            f"{SPLITS_SUBMITTED} splits, submitted:",
            "",
            "| | start and graph, s | submission, s | calls of sbatch |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{SPLITS_RUN} splits, trained:",
            "",
            "| | start to end, s | of a training, s | calls of sbatch |",
            "|---|---|---|---|",
            *ends,
        ]
    )


def call(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start Snakemake in a folder."""
    with open(folder / "snakemake.txt", "w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def train(folder: Path, way: str, size: int) -> subprocess.Popen:
    """Start Snakemake on Slurm, up to the trainings."""
    options = [word.format(size=size) for word in WAYS[way]]
    splits = yaml.safe_load((folder / "config.yaml").read_text())["splits"]
    models = [f"results/x/splits/{name}/model.safetensors" for name in splits]
    return call(
        folder,
        *models,
        *("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "5"),
        *("--cores", str(BESIDE), "--latency-wait", "10", *options),
    )


def submission(slurm, folder: Path, way: str) -> str:
    """Return a row: seconds until the first job is in the queue, and until all are."""
    size = SPLITS_SUBMITTED // 8
    expected = SPLITS_SUBMITTED // size if "groups" in way else SPLITS_SUBMITTED
    slurm.ask("scontrol", "update", "PartitionName=main", "State=DOWN")
    start = time.perf_counter()
    process = train(folder, way, size)
    first = wait_for(process, lambda: waiting(slurm) > 0, folder)
    last = wait_for(process, lambda: waiting(slurm) >= expected, folder)
    calls = calls_of_sbatch(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    slurm.ask("scancel", "--user=root")
    slurm.ask("scontrol", "update", "PartitionName=main", "State=UP")
    unlocked = call(folder, "--unlock", "--cores", "1")
    unlocked.wait()
    name = way.format(size=size)
    return f"| {name} | {first - start:.1f} | {last - first:.1f} | {calls} |"


def to_the_end(folder: Path, way: str) -> str:
    """Return a row: seconds until all are trained."""
    size = SPLITS_RUN // 2
    for path in folder.glob("results/x/splits/*/model.safetensors"):
        path.unlink()
    start = time.perf_counter()
    process = train(folder, way, size)
    if process.wait():
        raise RuntimeError((folder / "snakemake.txt").read_text())
    seconds = time.perf_counter() - start
    cells = [f"{seconds:.0f}", f"{seconds / SPLITS_RUN:.1f}", str(calls_of_sbatch(folder))]
    return f"| {way.format(size=size)} | {' | '.join(cells)} |"


def waiting(slurm) -> int:
    """Return how many jobs wait in the queue, tasks of arrays one by one."""
    return len(slurm.ask("squeue", "--array", "--states=PENDING", "--noheader").splitlines())


def calls_of_sbatch(folder: Path) -> int:
    """Return how often Snakemake says that it has submitted something."""
    output = (folder / "snakemake.txt").read_text()
    return output.count("SLURM jobid") + output.count("SLURM job ID")


def wait_for(process: subprocess.Popen, condition, folder: Path) -> float:
    """Return the time at which something is the case."""
    while not condition():
        if process.poll() is not None:
            raise RuntimeError((folder / "snakemake.txt").read_text())
        time.sleep(0.1)
    return time.perf_counter()
