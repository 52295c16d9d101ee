"""The server that forks a process for every job, after it has imported the large packages once.

It has one thread and its own session. For each job it watches two things: the connection to the
client, at whose end the job is killed, and the process of the job, whose status it tells the
client. It ends when the process that starts the jobs has ended, or after some idle minutes, and in
both cases when the last job has ended.
"""

import array
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from memtrain.workflow.fork_server.address import address, is_running
from memtrain.workflow.fork_server.job import Call, become
from memtrain.workflow.fork_server.packages import import_packages, state_of_packages

#: Seconds after which a server without a job ends.
_IDLE_SECONDS = 300

#: Seconds in which a client has to say what its job is.
_SECONDS_OF_CALL = 10

#: Signals that are sent to all processes of a session or of a job of Slurm. They are for the jobs.
_LEFT_TO_JOBS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP),
)

#: Processes that wait until a server accepts their jobs.
_MOST_WAITING = 1024


class _RefusedError(Exception):
    """A job that the server does not take, with the reason."""


@dataclass(frozen=True)
class _Fork:
    """What a fork has to become, and the connection to its client."""

    call: Call
    client: socket.socket


@dataclass(frozen=True)
class _Running:
    """A job that runs: its process, which is the leader of its group, and what is watched."""

    pid: int
    process: int
    client: socket.socket


def serve(name: str, owner: str, listens: str) -> None:
    """Serve jobs at an address until there are no more.

    Args:
        name: the address.
        owner: the process that starts the jobs; see ``owner_of_jobs``.
        listens: number of an open file, which is closed when the server listens.

    Raises:
        SystemExit: where it cannot serve; and in a fork, at the end of some scripts.
        OSError: where another server has the address already.
    """
    if address(owner) != name:
        sys.exit("a server started otherwise than its jobs")
    owner_ends = os.pidfd_open(int(owner.partition("-")[0]))
    if not is_running(owner):
        sys.exit("the process that starts the jobs has ended")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"\0{name}")
    listener.listen(_MOST_WAITING)
    os.close(int(listens))
    server = os.getpid()
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _LEFT_TO_JOBS}
    fork = ForkServer(listener, owner_ends).run()
    if fork is not None:
        become(fork.call, fork.client, server, handlers)
    # The system takes down what was imported sooner than Python.
    os._exit(0)


class ForkServer:
    """Forks a process for every job.

    Args:
        listener: the socket that clients connect to.
        owner_ends: a file that can be read when the process that starts the jobs has ended.
    """

    def __init__(self, listener: socket.socket, owner_ends: int):
        self._listener = listener
        self._owner_ends = owner_ends
        self._poll = select.poll()
        self._events: dict[int, Callable[[], None]] = {}
        self._running: dict[int, _Running] = {}
        self._fork: _Fork | None = None
        self._is_open = True

    def run(self) -> "_Fork | None":
        """Serve until no more jobs can come, and all have ended.

        Returns:
            In a fork, what it has to become; in the server, None.
        """
        self._imported = import_packages()
        self._packages = state_of_packages()
        self._watch(self._listener.fileno(), select.POLLIN, self._accept)
        self._watch(self._owner_ends, select.POLLIN, self._close)
        while self._is_open or self._running:
            ready = self._poll.poll(None if self._running else _IDLE_SECONDS * 1000)
            for file, then in [(file, self._events[file]) for file, _ in ready]:
                # What came before it in the list may have ended what this one is about.
                if self._events.get(file) is then:
                    then()
                if self._fork:
                    return self._fork
            if not ready:
                self._close()
        return None

    def _watch(self, file: int, events: int, then: Callable[[], None]) -> None:
        self._poll.register(file, events)
        self._events[file] = then

    def _forget(self, file: int) -> None:
        self._poll.unregister(file)
        del self._events[file]

    def _close(self) -> None:
        """Take no more jobs."""
        if self._is_open:
            self._is_open = False
            self._forget(self._listener.fileno())
            self._forget(self._owner_ends)
            self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            self._close()  # Too many files are open.
            return
        files: list[int] = []
        try:
            client.settimeout(_SECONDS_OF_CALL)
            call = _received(client, files, self._imported.messages)
            self._check()
            self._start(client, call)
        except _RefusedError as reason:
            _tell(client, f"no {reason}")
            client.close()
        except (OSError, ValueError):
            client.close()
        if not self._fork:
            for file in files:
                os.close(file)

    def _check(self) -> None:
        """Refuse jobs that would not start as a Python of their own does.

        Raises:
            _RefusedError: with the reason.
        """
        if self._imported.error:
            raise _RefusedError(f"an import failed ({self._imported.error})")
        if state_of_packages() != self._packages:
            self._close()
            raise _RefusedError("a package was changed since the server started")
        if (threads := _threads()) > 1:
            raise _RefusedError(f"the server has {threads} threads, and can fork with one alone")

    def _start(self, client: socket.socket, call: Call) -> None:
        pid = os.fork()
        if pid == 0:
            self._leave_files()
            self._fork = _Fork(call, client)
            return
        try:
            job = _Running(pid, os.pidfd_open(pid), client)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        client.settimeout(0)
        self._running[pid] = job
        self._watch(job.process, select.POLLIN, lambda: self._end(job))
        self._watch(client.fileno(), select.POLLRDHUP, lambda: self._kill(job))

    def _leave_files(self) -> None:
        """Close the files of the server in a fork: others wait for their ends."""
        self._listener.close()
        os.close(self._owner_ends)
        for job in self._running.values():
            job.client.close()
            os.close(job.process)

    def _kill(self, job: _Running) -> None:
        """Kill a job whose client has ended, with what is left of its group."""
        self._forget(job.client.fileno())
        try:
            os.killpg(job.pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(job.pid, signal.SIGKILL)  # It leads no group yet.

    def _end(self, job: _Running) -> None:
        """Tell the client how its job has ended."""
        _, status = os.waitpid(job.pid, 0)
        _tell(job.client, f"end {status}")
        if job.client.fileno() in self._events:
            self._forget(job.client.fileno())
        self._forget(job.process)
        os.close(job.process)
        job.client.close()
        del self._running[job.pid]


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _received(client: socket.socket, files: list[int], messages: bytes) -> Call:
    """Return the call of a client; its files are added to a list as they arrive.

    Raises:
        _RefusedError: if it is no call that can be served.
        OSError: if the client has ended.
    """
    numbers = array.array("i")
    content, parts, _, _ = client.recvmsg(1 << 20, socket.CMSG_SPACE(3 * numbers.itemsize))
    for level, kind, part in parts:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(part)
    files.extend(numbers)
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    if int.from_bytes(credentials[4:8], sys.byteorder) != os.getuid():
        raise _RefusedError("it is that of another user")
    if len(files) != 3:
        raise _RefusedError("standard input, output and error are needed")
    number, *fields = map(os.fsdecode, content.split(b"\0"))
    return Call(
        arguments=fields[int(number) :],
        folders=dict(field.split("=", 1) for field in fields[: int(number)]),
        files=list(files),
        messages=messages,
    )


def _tell(client: socket.socket, message: str) -> None:
    # The client may have ended.
    with suppress(OSError):
        client.send(message.encode())
