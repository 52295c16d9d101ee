"""Runs every point in a process of its own, which has an end whatever happens in it.

An error of CUDA leaves a process without its GPU, and a kernel that never ends cannot be
interrupted: neither may take the other points along.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from benchmarks.gpu.findings import Finding

ROOT = Path(__file__).resolve().parents[2]

#: Seconds that a process has between the request to end and its end by force.
GRACE_SECONDS = 3.0

#: Most characters of an error that the report keeps, from its end.
_ERROR_CHARACTERS = 4000


@dataclass(frozen=True)
class Point:
    """A part of the report.

    Attributes:
        module: its module, which has a function ``find``.
        title: heading of its part of the table.
        seconds: time that it may take.
    """

    module: str
    title: str
    seconds: float

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.module.rpartition(".")[2]


@dataclass(frozen=True)
class Outcome:
    """What became of a point.

    Attributes:
        point: the point.
        state: "done", "failed" or "out of time".
        seconds: time that it took.
        findings: what it found, up to its end.
        error: last lines of what it said, if it failed.
    """

    point: Point
    state: str
    seconds: float
    findings: Sequence[Finding] = field(default_factory=list)
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the point came to its end and found nothing that must not be."""
        return self.state == "done" and not any(one.is_wrong for one in self.findings)


def run_point(point: Point, device: str) -> Outcome:
    """Run a point in a process of its own; an end by force leaves what was found before.

    Args:
        point: the point.
        device: "cuda" or "cpu".
    """
    start = time.monotonic()
    with TemporaryDirectory() as folder, TemporaryFile("w+") as said:
        found = Path(folder) / "findings.jsonl"
        command = [sys.executable, "-m", "benchmarks.gpu.point", point.module, device, str(found)]
        with _process_group(command, said) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(point.seconds)
            status = process.poll()
        seconds = time.monotonic() - start
        said.seek(0)
        error = said.read()[-_ERROR_CHARACTERS:].strip()
        findings = list(_read(found))
    if status is None:
        return Outcome(point, "out of time", seconds, findings, error)
    if status != 0:
        return Outcome(point, "failed", seconds, findings, error or f"exit status {status}")
    return Outcome(point, "done", seconds, findings)


@contextmanager
def _process_group(command: Sequence[str], output: object) -> Iterator[subprocess.Popen]:
    """Start a program in a process group of its own, and leave nothing of it behind."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        # The programs that it started may outlive it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(path: Path) -> Iterator[Finding]:
    """Yield the findings in a file; a line that was not written to its end is left out."""
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield Finding(**json.loads(line))
