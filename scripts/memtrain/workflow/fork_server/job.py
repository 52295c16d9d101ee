"""What the fork of a server does to become the process of a job, and to end as Python ends."""

import atexit
import builtins
import ctypes
import importlib
import io
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from typing import Any, NoReturn

from memtrain.workflow.fork_server.address import TEMPORARY_FOLDERS
from memtrain.workflow.fork_server.streams import open_streams

_Handler = Callable[[int, types.FrameType | None], Any] | int | None

#: The number of "send me this signal when my parent ends", from linux/prctl.h.
_PR_SET_PDEATHSIG = 1

#: Seconds in which the client has to let the job begin.
_SECONDS_TO_BEGIN = 60


@dataclass(frozen=True)
class Call:
    """What the client says about its job.

    Attributes:
        arguments: the path of the script, and its arguments.
        folders: the environment variables that name folders of temporary files.
        files: numbers of the open files that become standard input, output and error.
        messages: what the imports of the packages have printed.
    """

    arguments: list[str]
    folders: dict[str, str]
    files: list[int]
    messages: bytes


def become(
    call: Call, client: socket.socket, server: int, signals: Mapping[signal.Signals, _Handler]
) -> NoReturn:
    """Run the script of a job in this process, once the client says so.

    Args:
        call: what the job is.
        client: the connection to its client.
        server: id of the process of the server; with it, this process ends.
        signals: the handlers that Python starts with, by the signal.

    Raises:
        SystemExit: at the end of a script that left files open which may have to be written.
    """
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)
        for number, handler in signals.items():
            signal.signal(number, handler)
        client.settimeout(_SECONDS_TO_BEGIN)
        client.send(f"job {os.getpid()}".encode())
        if client.recv(16) != b"begin":
            os._exit(1)
        client.close()
        _take_over(call)
    except BaseException:
        os._exit(1)
    opened = _files_to_write()
    status = _run(call.arguments[0])
    status = _finish(status)
    if _files_to_write() - opened:
        # A file that nobody closed is written when Python takes its objects down.
        sys.exit(status)
    os._exit(status)


def _take_over(call: Call) -> None:
    """Take over the files, the folders and the arguments; make what is random random again."""
    for number, file in enumerate(call.files):
        os.dup2(file, number)
        os.close(file)
    if call.messages:
        os.write(2, call.messages)
    open_streams()
    for variable in TEMPORARY_FOLDERS:
        os.environ.pop(variable, None)
    os.environ.update(call.folders)
    tempfile.tempdir = None
    sys.argv = call.arguments
    sys.orig_argv = [sys.executable, *call.arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(call.arguments[0]))
    for name in [name for name in sys.modules if name.partition(".")[0] == "memtrain"]:
        del sys.modules[name]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    _seed_anew()


def _seed_anew() -> None:
    """Seed the generators of random numbers that are seeded from the system at their import."""
    random.seed()
    sys.modules["numpy"].random.seed()
    sys.modules["torch"].default_generator.seed()


def _run(script: str) -> int:
    """Run a script as the main module; return its exit status."""
    path = os.path.abspath(script)
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __file__=path,
        __cached__=None,
        __loader__=SourceFileLoader("__main__", path),
        __builtins__=builtins,
        __annotations__={},
    )
    sys.modules["__main__"] = main
    try:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, main.__dict__)
    except SystemExit as end:
        return _status_of(end.code)
    except KeyboardInterrupt as error:
        _show(error)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _finish(1)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        _show(error)
        return 1
    return 0


def _status_of(code: object) -> int:
    """Return the status with which Python ends for the argument of ``sys.exit``."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    """Print a traceback that begins in the script."""
    traceback = error.__traceback__
    error = error.with_traceback(traceback.tb_next if traceback else None)
    sys.excepthook(type(error), error, error.__traceback__)


def _finish(status: int) -> int:
    """Wait for threads, call what was registered for the end, and write what is in the buffers.

    Returns:
        The exit status: 120 where the buffers cannot be written, as with Python.
    """
    # Without these two, a pool of threads and a temporary folder would not be ended.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            status = 120
    ctypes.CDLL(None).fflush(None)
    return status


def _files_to_write() -> set[tuple[int, str]]:
    """Return the open files of this process that it may write to; not its standard streams."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            with open(f"/proc/self/fdinfo/{name}") as info:
                flags = next(int(line[6:], 8) for line in info if line.startswith("flags:"))
            is_written = flags & os.O_ACCMODE != os.O_RDONLY
            if is_written and int(name) > 2:
                found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            continue  # The list itself was open while it was read.
    return found
