"""A Python that has imported the large packages already, for tests that start many programs.

Importing PyTorch, Snakemake and others takes longer than most programs of a test. So a server
imports them once, and forks for every call. The folder of its programs, put first in PATH, holds
`python`, `snakemake` and `torchrun`: small clients that hand their arguments, environment, folder
and open files to the server, pass signals on, and end as their fork ends. Tests run copies of this
repository that differ; what is the same in them is not compiled and imported again (see
`kept_modules`). Other calls (options, most modules) run the real Python.
"""

import _imp
import array
import ctypes
import importlib
import marshal
import os
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import types
from contextlib import suppress
from pathlib import Path

#: The variable that names the Python that programs take themselves to be run by, and start others
#: with; without it, that is the real one.
PYTHON = "MEMTRAIN_TESTS_PYTHON"

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_CLIENT = """\
#!{python} -IS
import sys
sys.path.insert(0, {folder!r})
import warm_client
warm_client.main({name!r}, {address!r})
"""


def start(folder, owner):
    """Start a server, and write its programs into a folder. It ends when a process ends.

    Args:
        folder: the folder of the programs; an empty one.
        owner: id of the process with which the server ends.
    """
    # The path of a socket must be short.
    address = f"{tempfile.mkdtemp(prefix='warm-')}/socket"
    # Its end says that the server can be called; it answers when it has imported its modules.
    subprocess.run([sys.executable, __file__, address, str(owner)], check=True)
    for name in ("python", "snakemake", "torchrun"):
        program = folder / name
        program.write_text(
            _CLIENT.format(
                python=sys.executable,
                folder=str(Path(__file__).parent),
                name=name,
                address=address,
            )
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)


def serve(address, owner):
    """Take calls from now on; import the large packages, and fork for every call.

    Args:
        address: path of the socket, which is there when the program that was called has ended.
        owner: id of the process with which the server ends.
    """
    owner_ends = os.pidfd_open(owner)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(64)
        if os.fork():
            os._exit(0)
        os.setsid()
        from warm_packages import warm_up

        code = warm_up(Path(__file__).resolve().parents[1] / "scripts")
        # Until now, an error was told where that of a test is.
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        _answer(listener, owner_ends, code)
    shutil.rmtree(os.path.dirname(address), ignore_errors=True)
    os._exit(0)


def _answer(listener, owner_ends, code):
    """Fork for every call, and tell its end, until the owner has ended.

    Args:
        listener: the socket at which clients call.
        owner_ends: readable when the owner has ended.
        code: the code of the files of this repository by their bytes.
    """
    programs, clients = {}, {}
    while True:
        readable, _, _ = select.select([listener, owner_ends, *programs, *clients], [], [])
        if owner_ends in readable:
            return
        if listener in readable:
            connection, _ = listener.accept()
            with suppress(OSError):
                program = _start(connection, code)
                ended = os.pidfd_open(program)
                programs[ended], clients[connection] = (program, connection), program
        for client in clients.keys() & readable:
            # It has nothing more to say, so it is gone.
            os.kill(clients.pop(client), signal.SIGKILL)
        for ended in programs.keys() & readable:
            program, connection = programs.pop(ended)
            clients.pop(connection, None)
            os.close(ended)
            _, status = os.waitpid(program, 0)
            with connection, suppress(OSError):
                connection.sendall(f"{status}\n".encode())


def _start(connection, code):
    """Run a call in a fork; tell its process, and return it."""
    call, files = _receive(connection)
    program = os.fork()
    if program == 0:
        _die_with_parent()
        _become(call, files, code)
    for file in files:
        os.close(file)
    with suppress(OSError):
        connection.sendall(f"{program}\n".encode())
    return program


def _receive(connection):
    files = array.array("i")
    content, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(3 * files.itemsize))
    for _, _, part in ancillary:
        files.frombytes(part)
    length = 8 + int.from_bytes(content[:8], sys.byteorder)
    while len(content) < length:
        content += connection.recv(1 << 20)
    return marshal.loads(content[8:]), list(files)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _become(call, files, code):
    """Run the program of a call in this process, and end it as Python would."""
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, 4096)
    for number in _SIGNALS:
        ignored = number in call["ignored"]
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if ignored else default)
    for limit, (soft, hard) in call["limits"]:
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (soft, hard))
    os.umask(call["umask"])
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    _set_threads()
    _open_streams()
    status = _run(call, code)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 120
    os._exit(status)


def _set_threads():
    """Let PyTorch have the threads that the environment names, as when it is imported."""
    import torch

    given = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(given) if given.isdigit() else len(os.sched_getaffinity(0)))


def _open_streams():
    name = os.environ.get("PYTHONIOENCODING", "utf-8")
    encoding, _, errors = name.partition(":")
    for number, stream in enumerate(("stdin", "stdout", "stderr")):
        raw = os.fdopen(
            number,
            "r" if number == 0 else "w",
            encoding=encoding or "utf-8",
            errors=errors or ("backslashreplace" if number == 2 else "strict"),
            closefd=False,
        )
        if number == 2 or (number == 1 and (raw.isatty() or os.environ.get("PYTHONUNBUFFERED"))):
            raw.reconfigure(line_buffering=True)
        setattr(sys, stream, raw)
        setattr(sys, f"__{stream}__", raw)


def _first_folder(call):
    """Return the folder in which modules are looked for first, or nothing, as a list."""
    if call["is_safe"]:
        return []
    if call["code"] is not None:
        return [""]
    return [os.getcwd() if call["module"] else str(Path(call["arguments"][0]).resolve().parent)]


def _run(call, known):
    import atexit
    import runpy
    import threading
    import traceback

    # Nobody pulls the plug; a test that waits for a disk keeps a core idle.
    os.fsync = os.fdatasync = lambda file: None
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    extra = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    base = [part for part in sys.path if part != str(Path(__file__).parent)]
    sys.argv = call["arguments"]
    sys.path[:] = [*_first_folder(call), *extra, *base]
    sys.executable = os.environ.get(PYTHON, sys.executable)
    status = 0
    try:
        if call["module"] == "torch.distributed.run":
            # As torchrun does. Its steps ask inspect for the modules of their callers, which looks
            # through all modules for one without a file, as runpy is.
            importlib.import_module(call["module"]).main()
        elif call["module"]:
            runpy.run_module(call["module"], run_name="__main__", alter_sys=True)
        elif call["code"] is not None:
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(call["code"], "<string>", "exec", dont_inherit=True), main.__dict__)
        else:
            _run_script(call["arguments"][0], known)
    except SystemExit as end:
        code = end.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
        status = (code or 0) & 0xFF
    except KeyboardInterrupt:
        traceback.print_exc()
        status = 130
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    return status


def _run_script(path, known):
    """Run a file as Python runs the file that it is called with.

    Args:
        path: the file.
        known: the code of some files by their bytes.
    """
    content = Path(path).read_bytes()
    code = known.get(content)
    if code is None:
        code = compile(content, path, "exec", dont_inherit=True)
    else:
        _imp._fix_co_filename(code, path)
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    exec(code, vars(main))


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
