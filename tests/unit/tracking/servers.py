"""A real server of MLflow, and a line to it that can be cut, or fall silent."""

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from urllib.request import urlopen

from tests.programs import quick_python

#: Serves the application of MLflow, as `mlflow server` does by two processes that import it.
_SERVE = """
import sys
from mlflow.server import app
from mlflow.server.handlers import initialize_backend_stores
from werkzeug.serving import run_simple

port, folder = sys.argv[1:]
database = f"sqlite:///{folder}/mlflow.db"
initialize_backend_stores(database, database, folder)
run_simple("127.0.0.1", int(port), app, threaded=True)
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def mlflow_server(folder):
    """Start a server with its database in a folder, and yield its port."""
    port = free_port()
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            [quick_python(), "-c", _SERVE, str(port), str(folder)],
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_answer(port, process, folder / "server.log")
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await_answer(port, process, log):
    end = time.monotonic() + 120
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        with suppress(OSError):
            if urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200:
                return
        time.sleep(0.2)


class Line:
    """A line to a server: programs connect to its port.

    Attributes:
        port: the port.
        is_silent: whether connections are accepted, and nothing is ever answered.

    Args:
        server: the port of the server.
    """

    def __init__(self, server):
        self.port = free_port()
        self.is_silent = False
        self._server = server
        self._listener = None
        self._open = []

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def connect(self):
        """Accept connections from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def cut(self):
        """Refuse connections from now on, and break those that there are."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open = []

    def _accept(self, listener):
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            self._open.append(client)
            if not self.is_silent:
                server = socket.create_connection(("127.0.0.1", self._server))
                self._open.append(server)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=[one, other], daemon=True).start()


def _pass_on(one, other):
    with suppress(OSError):
        while content := one.recv(1 << 16):
            other.sendall(content)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)
