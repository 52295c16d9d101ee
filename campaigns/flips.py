"""Flips the bytes of a finished project, one at a time; ``lineage verify`` must notice each.

The times of a file stay as they were, so that only its content tells. Many cases share a process,
which is started again now and then, with a fresh project. A case is ``FILE@OFFSET^BITS``.
"""

import contextlib
import importlib
import io
import os
import random
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from campaigns.campaign import Stream
from campaigns.checks import files_of, last_line
from campaigns.forked import Child, status_of
from campaigns.outcomes import CRASH, NOT_TOLD, NOTICED, SILENT, TRACEBACK, Outcome
from campaigns.sample_project import RESULTS
from campaigns.workshop import Workshop

#: Cases after which a fresh project is taken, since every verification adds a record.
_CASES_OF_A_PROCESS = 100
_SECONDS_OF_A_CASE = 20

#: What no rule promises, below the folder of the results.
_NOT_PROMISED = ("config.yaml", "lineage/", "state/", "logs/", "benchmarks/")


class Flips:
    """The campaign.

    Args:
        workshop: where the projects of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop
        self._child: Child | None = None
        self._cases_done = 0

    def streams(self) -> list[Stream]:
        """Return the bytes of all promised files, in turn from each file."""
        return [Stream(self._cases())]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        if self._child is None or self._cases_done >= _CASES_OF_A_PROCESS:
            self._start()
        self._cases_done += 1
        self._socket.send(case.encode())
        try:
            status, output = self._socket.recv(1 << 20).decode().split("\n", 1)
        except (TimeoutError, ValueError):
            output = self._end()
            return Outcome(CRASH, last_line(output), output)
        return _outcome(case.split("@")[0], status, output)

    def _cases(self) -> Iterator[str]:
        chance = random.Random(self._workshop.seed)
        offsets = {}
        for name, path in files_of(self._workshop.finished).items():
            inside = name.removeprefix(f"{RESULTS.root}/")
            if inside != name and not inside.startswith(_NOT_PROMISED):
                size = path.stat().st_size
                offsets[name] = iter(chance.sample(range(size), size))
        while offsets:
            for name, left in list(offsets.items()):
                if (offset := next(left, None)) is None:
                    del offsets[name]
                else:
                    # The lowest bit makes one digit of another: what it changes can be read.
                    yield f"{name}@{offset}^{chance.choice([1, chance.randint(1, 255)]):02x}"

    def _start(self) -> None:
        self._end()
        folder = self._workshop.copy(self._workshop.finished)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(_SECONDS_OF_A_CASE)
        self._child = Child(lambda: _verify_cases(folder, theirs), folder)
        theirs.close()

    def _end(self) -> str:
        """End the process that verifies; return what it printed beside its answers."""
        if self._child is None:
            return ""
        self._socket.close()
        output = self._child.wait(1).output
        self._child, self._cases_done = None, 0
        return output


def _outcome(file: str, status: str, output: str) -> Outcome:
    if "Traceback" in output:
        return Outcome(TRACEBACK, f"{file}: {last_line(output)}", output)
    if status == "0":
        return Outcome(SILENT, file, output)
    if Path(file).name not in output:
        return Outcome(NOT_TOLD, f"{file}: {last_line(output)}", output)
    return Outcome(NOTICED, output=output)


def _verify_cases(folder: Path, connection: socket.socket) -> int:
    """Flip what the other side names, and answer with the exit status and the words of verify.

    Raises:
        RuntimeError: if verify has findings where nothing is flipped.
    """
    from memtrain.cli.entry_point import show_messages

    show_messages()
    sys.argv = ["lineage.py"]
    lineage = importlib.import_module("lineage")
    status, output = _called(lineage.main, ["verify"])
    if status:
        raise RuntimeError(f"verify has findings where nothing is flipped:\n{output}")
    while case := connection.recv(1 << 16).decode():
        file, _, where = case.partition("@")
        offset, bits = where.split("^")
        with _flipped(folder / file, int(offset), int(bits, 16)):
            status, output = _called(lineage.main, ["verify"])
        connection.send(f"{status}\n{output[-50_000:]}".encode())
    return 0


@contextlib.contextmanager
def _flipped(path: Path, offset: int, bits: int) -> Iterator[None]:
    """Change bits of a byte of a file for a while."""
    before = path.stat()
    with open(path, "r+b", buffering=0) as file:
        for _ in range(2):
            byte = os.pread(file.fileno(), 1, offset)[0]
            os.pwrite(file.fileno(), bytes([byte ^ bits]), offset)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            if _ == 0:
                yield


def _called(main, arguments: list[str]) -> tuple[int, str]:
    """Return the exit status of a program that is called as a function, and what it printed."""
    with io.StringIO() as text:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            try:
                status = main(arguments)
            except SystemExit as leaving:
                status = status_of(leaving)
            except BaseException:
                traceback.print_exc()
                status = 1
        return status, text.getvalue()


def campaign(workshop: Workshop) -> Flips:
    """Return the campaign."""
    return Flips(workshop)
