"""The client of ``warm_python``: hands a call to the server.

It imports as little as it can: the public modules of sockets and signals take longer than Python.
"""

import _signal
import _socket
import marshal
import os
import resource
import sys

_FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)

#: The modules of programs, which the server runs for `python -m` as well, and more of those.
_MODULES = {"snakemake": "snakemake", "torchrun": "torch.distributed.run"}
_MORE_MODULES = ("memtrain.tracking.follower", "benchmarks.gpu", "benchmarks.gpu.point")


def main(name, address):
    """Run a program by the server, and end as it ends."""
    call = _call(name, sys.argv[1:])
    if call is None:
        # The name in argv decides which environment Python takes itself to be in.
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(address)
    early = []
    for number in _FORWARDED:
        if _signal.getsignal(number) is not _signal.SIG_IGN:
            _signal.signal(number, lambda number, frame: early.append(number))
    _send(connection, marshal.dumps(call))
    program = int(_line(connection))

    def forward(number, frame):
        try:  # noqa: SIM105 - see above
            os.kill(program, number)
        except ProcessLookupError:
            pass

    for number in _FORWARDED:
        if _signal.getsignal(number) is not _signal.SIG_IGN:
            _signal.signal(number, forward)
    for number in early:
        forward(number, None)
    status = int(_line(connection) or 9)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _send(connection, content):
    """Send the length of a call in 8 bytes, the call, and the three open files of this process."""
    files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    content = len(content).to_bytes(8, sys.byteorder) + content
    sent = connection.sendmsg([content], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    connection.sendall(content[sent:])


def _line(connection):
    """Return the next line of the server without its end; "" where the server has ended."""
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(1)
        if not part:
            return ""
        line += part
    return line[:-1].decode()


def _call(name, arguments):
    """Return what the server has to know; None for what the real Python has to run."""
    # torchrun starts its processes with -u, which is about the streams alone.
    arguments = arguments[arguments[:1] == ["-u"] :]
    # A follower is started with -P, since no module is to be looked for in its folder.
    is_safe = arguments[:2] == ["-P", "-m"]
    arguments = arguments[is_safe:]
    code = None
    if name in _MODULES:
        program = os.path.join(os.path.dirname(sys.executable), name)
        module, rest = _MODULES[name], [program, *arguments]
    elif arguments[:1] == ["-m"] and arguments[1] in (*_MODULES.values(), *_MORE_MODULES):
        module, rest = arguments[1], arguments[1:]
    # Processes of multiprocessing have further open files.
    elif arguments[:1] == ["-c"] and not arguments[1].startswith("from multiprocessing"):
        module, code, rest = None, arguments[1], ["-c", *arguments[2:]]
    elif arguments and arguments[0].endswith(".py"):
        module, rest = None, arguments
    else:
        return None
    limits = [getattr(resource, one) for one in dir(resource) if one.startswith("RLIMIT_")]
    umask = os.umask(0)
    os.umask(umask)
    return {
        "module": module,
        "code": code,
        "is_safe": is_safe,
        "arguments": rest,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "ignored": [one for one in _FORWARDED if _signal.getsignal(one) is _signal.SIG_IGN],
        "limits": [(limit, resource.getrlimit(limit)) for limit in limits],
    }
