"""Forty small trainings and their evaluations: each a Python of its own, or forked from a server.

CPU seconds are those of Snakemake and of everything that it starts, directly or not: this process
becomes the parent of what outlives its own, as the server does for a moment.
"""

import ctypes
import os
import resource
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.many_splits import make_resolved_project, snakemake

SPLITS = 40
ROWS_TRAINED = 2_000

#: "Processes whose parent has ended get me as their parent", from linux/prctl.h.
_PR_SET_CHILD_SUBREAPER = 36


def main() -> str:
    """Return the table."""
    adopt_orphans()
    lines = ["| | start to end, s | CPU seconds | of a split |", "|---|---|---|---|"]
    models = []
    for setting, name in (("never", "Python for each job"), ("auto", "fork server")):
        with tempfile.TemporaryDirectory() as folder:
            project = make_resolved_project(Path(folder), SPLITS, ROWS_TRAINED)
            configuration = yaml.safe_load((project / "config.yaml").read_text())
            configuration["running"] = {"fork_server": setting}
            (project / "config.yaml").write_text(yaml.safe_dump(configuration))
            seconds, cpu_seconds = taken(project)
            found = sorted(project.glob("results/x/splits/*/model.safetensors"))
            models.append([path.read_bytes() for path in found])
        of_split = cpu_seconds / SPLITS
        lines.append(f"| {name} | {seconds:.0f} | {cpu_seconds:.0f} | {of_split:.2f} |")
    if models[0] != models[1] or len(models[0]) != SPLITS:
        raise RuntimeError("models differ, or are missing")
    return "\n".join(lines)


def taken(project: Path) -> tuple[float, float]:
    """Train and evaluate; return the seconds and the CPU seconds that it took."""
    start, before = time.perf_counter(), cpu_seconds_of_children()
    snakemake(project, "--omit-from", "draw")
    seconds = time.perf_counter() - start
    await_all()
    return seconds, cpu_seconds_of_children() - before


def adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends, if it descends from this one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def await_all() -> None:
    """Wait for the processes that are left, whose CPU seconds count from then on."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def cpu_seconds_of_children() -> float:
    """Return the CPU seconds of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
