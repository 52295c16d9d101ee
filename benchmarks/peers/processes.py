"""The driver's side of a program: starts it, lets it run, and stops it in between."""

import json
import os
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from benchmarks.peers.catalogue import Program
from benchmarks.peers.environments import REPOSITORY, python_for

#: Longest time that a program may take to get ready, to answer after its run, and to end.
READY_SECONDS = 1800
ANSWER_SECONDS = 120
END_SECONDS = 10


class FailedError(Exception):
    """A program did not answer, or answered with an error."""


class Process:
    """A program in its own environment; it and its worker processes form a process group.

    Between runs, the whole group is stopped by SIGSTOP: a loader that reads ahead would otherwise
    take time from the program whose turn it is.

    Args:
        program: program to run.
        workers: number of its worker processes.
        path: path of the rows.
        batch_size: rows of a batch.
        warm_seconds: seconds that the program runs before it is ready; None for a program whose
            files stay on the disk.
    """

    def __init__(
        self,
        program: Program,
        *,
        workers: int,
        path: Path,
        batch_size: int,
        warm_seconds: float | None,
    ):
        self.folder = path.parent / "-".join([program.name, *program.requirements[:1]])
        arguments = {
            "--package": program.package,
            "--batch-size": batch_size,
            "--workers": workers,
            "--options": json.dumps(program.options),
        }
        if warm_seconds is not None:
            arguments["--warm"] = warm_seconds
        command = [python_for(program), "-P", "-m", "benchmarks.peers.protocol"]
        command += [program.module or program.name, path, self.folder]
        command += [part for argument in arguments.items() for part in argument]
        self.log = path.parent / f"{program.name}-{workers}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(program),
                process_group=0,
            )

    def ready(self) -> dict:
        """Wait until the program has prepared its rows, and return its answer."""
        return self._answer(READY_SECONDS)

    def run(self, seconds: float) -> dict:
        """Let the program run for some seconds, and return its answer."""
        os.killpg(self.process.pid, signal.SIGCONT)
        print(seconds, file=self.process.stdin, flush=True)
        return self._answer(seconds + ANSWER_SECONDS)

    def close(self) -> None:
        """End the program and its workers; kill them only if they do not end by themselves.

        A program that is killed leaves shared memory behind.
        """
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)
        try:
            self.process.communicate(timeout=END_SECONDS)
            last = signal.SIGTERM
        except (subprocess.TimeoutExpired, BrokenPipeError):
            last = signal.SIGKILL
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, last)
        self.process.wait()

    def _answer(self, seconds: float) -> dict:
        readable, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if readable else ""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGSTOP)
        answer = json.loads(line or "{}")
        if not answer:
            reason = "it ended" if readable else f"no answer within {seconds:.0f} seconds"
            raise FailedError(f"{reason}; see {self.log}")
        if "failed" in answer:
            raise FailedError(answer["failed"])
        return answer


def _environment(program: Program) -> dict[str, str]:
    """Return environment variables with which a program finds the protocol.

    The package memtrain is found only by programs that run in the environment of the project.
    """
    paths = [REPOSITORY] if program.requirements else [REPOSITORY, REPOSITORY / "scripts"]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        # Two peers would otherwise ask the network for newer versions of themselves.
        "HF_HUB_OFFLINE": "1",
        "LITDATA_DISABLE_VERSION_CHECK": "1",
    }
