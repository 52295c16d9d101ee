"""Runs a script by a fork server, in the place of Python, and ends as the script ends.

The process passes its signals on to the job and waits for it. Whoever looks at it from outside, as
Snakemake and Slurm do, sees what he would see of the job itself; only the memory and the CPU time
are those of the job, which is the child of the server.

A job never runs twice. The server tells the id of the job, which then waits for a word of this
process. Until this word is sent, any trouble leads to plain Python. From then on, the job has
begun: if it is lost, this process fails.
"""

import array
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from memtrain.workflow.fork_server.address import (
    TEMPORARY_FOLDERS,
    address,
    owner_of_jobs,
    running_servers,
)

if TYPE_CHECKING:
    from typing import NoReturn

#: Servers for the jobs of one Snakemake at most. Each holds as much memory as an idle PyTorch.
_MOST_SERVERS = 4

#: Seconds in which a server has to accept a job. The first one has to import PyTorch before.
_SECONDS_TO_ACCEPT = 300

#: Devices that show a GPU of Nvidia or of AMD.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")

#: Signals that a process gets by what it does itself, and those that cannot be caught.
_OWN_SIGNALS = {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
}

#: Signals of a terminal that stop a process until it is continued.
_STOPS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


class _UnavailableError(Exception):
    """No server takes the job, which has not begun; says why."""


def launch(arguments: "list[str]", *, is_cpu_only: bool) -> "NoReturn":
    """Run a script as ``python SCRIPT ...`` does, and end with its status.

    Args:
        arguments: the path of the script, and its arguments.
        is_cpu_only: whether the script leaves GPUs alone. Otherwise plain Python runs it where
            there is a GPU.
    """
    if os.path.isfile(arguments[0]) and (is_cpu_only or not _has_gpu()):
        try:
            _Job(arguments).follow()
        except (_UnavailableError, OSError) as reason:
            sys.stderr.write(f"note: the job starts as plain Python, by no fork server: {reason}\n")
            sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *arguments])


def _has_gpu() -> bool:
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    return not is_hidden and any(map(os.path.exists, _GPU_DEVICES))


class _Job:
    """A job of a server, which waits for the word to begin.

    Args:
        arguments: the path of the script, and its arguments.

    Raises:
        _UnavailableError: if there is no server that takes it.
        OSError: if the server is lost.
    """

    def __init__(self, arguments: "list[str]"):
        self._server = _connection()
        self._server.settimeout(_SECONDS_TO_ACCEPT)
        _send_call(self._server, arguments)
        word, _, rest = self._server.recv(4096).decode().partition(" ")
        if word != "job":
            raise _UnavailableError(rest or "the server has ended")
        # The job lives until it is told to begin, so its id cannot be that of another process.
        self._process = os.pidfd_open(int(rest))

    def follow(self) -> "NoReturn":
        """Let the job begin, pass signals on to it, and end as it ends.

        Raises:
            OSError: if the job was lost before it began.
        """
        numbers = self._forwarded_signals()
        former = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        try:
            self._server.send(b"begin")
            for number in numbers:
                signal.signal(number, self._stop if number in _STOPS else self._forward)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        self._server.settimeout(None)
        _end(self._wait())

    @staticmethod
    def _forwarded_signals() -> "list[signal.Signals | int]":
        # Those that this process was started to ignore are passed on as well: the job was, too, and
        # may listen to them all the same.
        is_ignored = {one for one in _STOPS if signal.getsignal(one) is signal.SIG_IGN}
        return list(signal.valid_signals() - _OWN_SIGNALS - is_ignored)

    def _forward(self, number: int, frame: "FrameType | None") -> None:
        # Where the job has just ended, the server says how.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    def _stop(self, number: int, frame: "FrameType | None") -> None:
        # The job has no terminal, and the system stops such a process by no other signal.
        self._forward(signal.SIGSTOP, frame)
        os.kill(os.getpid(), signal.SIGSTOP)

    def _wait(self) -> int:
        """Return the status of the job when it has ended, as ``os.wait`` has it."""
        try:
            message = self._server.recv(4096)
        except OSError:
            message = b""
        if message:
            return int(message.decode().partition(" ")[2])
        # The job ends with the server. Before it has, nobody may start it again.
        _await_end(self._process)
        sys.stderr.write("error: the fork server was killed, and the job with it\n")
        sys.stderr.flush()
        return signal.SIGKILL


def _await_end(process: int) -> None:
    import select

    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()


def _end(status: int) -> "NoReturn":
    """End with the exit status of the job, or by the signal that ended it."""
    if not os.WIFSIGNALED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    # The job has left its image already, where one is wanted.
    _leave_no_core()
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _leave_no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _connection() -> socket.socket:
    """Return a connection to the server; where there is none, one is started.

    Raises:
        _UnavailableError: if there is no server, and none can be started.
    """
    owner = owner_of_jobs()
    if owner is None:
        raise _UnavailableError("the process that starts the jobs cannot be seen")
    name = address(owner)
    connection = _connect(name)
    if connection is None:
        if running_servers(owner) >= _MOST_SERVERS:
            raise _UnavailableError(f"{_MOST_SERVERS} servers run, for jobs that start otherwise")
        _start_server(name, owner)
        connection = _connect(name)
    if connection is None:
        raise _UnavailableError("the server did not start")
    return connection


def _connect(name: str) -> "socket.socket | None":
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(_SECONDS_TO_ACCEPT)
    try:
        connection.connect(f"\0{name}")
    except ConnectionRefusedError:
        connection.close()
        return None
    # pid, user and group of the process that listens, each an int
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    if int.from_bytes(credentials[4:8], sys.byteorder) != os.getuid():
        raise _UnavailableError("another user listens at the address of the server")
    return connection


def _start_server(name: str, owner: str) -> None:
    """Start a server in the background, and wait until it listens or has ended."""
    listens, to_say = os.pipe()
    starter = os.fork()
    if starter == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _become_server(name, owner, to_say)
        finally:
            os._exit(0)
    os.close(to_say)
    os.waitpid(starter, 0)
    os.read(listens, 1)  # Nothing is written: the end of the pipe says it.
    os.close(listens)


def _become_server(name: str, owner: str, to_say: int) -> "NoReturn":
    """Replace this process by a server, which holds none of its files."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.set_inheritable(to_say, True)
    program = [sys.executable, os.path.abspath(sys.argv[0])]
    os.execv(program[0], [*program, "--serve", name, owner, str(to_say)])


def _send_call(server: socket.socket, arguments: "list[str]") -> None:
    """Send what the job is, with standard input, output and error of this process."""
    folders = [f"{key}={os.environ[key]}" for key in TEMPORARY_FOLDERS if key in os.environ]
    fields = [str(len(folders)), *folders, *arguments]
    content = b"\0".join(map(os.fsencode, fields))
    files = array.array("i", [0, 1, 2])
    server.sendmsg([content], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
