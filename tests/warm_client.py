"""The client of ``warm_python``: hands a call to the server. It imports as little as it can."""

import array
import contextlib
import json
import os
import signal
import socket
import sys

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

#: Modules that `python -m` may run by the server.
_MODULES = ("snakemake", "torch.distributed.run")


def main(name, address):
    """Run a program by the server, and end as it ends."""
    call = _call(name, sys.argv[1:])
    if call is None:
        # The name in argv decides which environment Python takes itself to be in.
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    early = []
    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: early.append(number))
    files = array.array("i", [0, 1, 2])
    content = json.dumps(call).encode() + b"\n"
    sent = connection.sendmsg([content], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    connection.sendall(content[sent:])
    lines = connection.makefile()
    program = int(lines.readline())

    def forward(number, frame):
        with contextlib.suppress(ProcessLookupError):
            os.kill(program, number)

    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, forward)
    for number in early:
        forward(number, None)
    status = int(lines.readline() or 9)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _call(name, arguments):
    """Return what the server has to know; None for what the real Python has to run."""
    import resource

    # torchrun starts its processes with -u, which is about the streams alone.
    arguments = arguments[arguments[:1] == ["-u"] :]
    if name == "snakemake":
        program = os.path.join(os.path.dirname(sys.executable), name)
        module, rest = "snakemake", [program, *arguments]
    elif arguments[:1] == ["-m"] and arguments[1] in _MODULES:
        module, rest = arguments[1], arguments[1:]
    elif arguments and arguments[0].endswith(".py"):
        module, rest = None, arguments
    else:
        return None
    limits = [getattr(resource, one) for one in dir(resource) if one.startswith("RLIMIT_")]
    umask = os.umask(0)
    os.umask(umask)
    return {
        "module": module,
        "arguments": rest,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "ignored": [one for one in _FORWARDED if signal.getsignal(one) is signal.SIG_IGN],
        "limits": [(limit, resource.getrlimit(limit)) for limit in limits],
    }
