"""Jobs that a fork server runs, started by a process of their own as Snakemake starts them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.trainings import wait_until

LAUNCH = Path(__file__).resolve().parents[1] / "scripts" / "launch.py"

#: A variable that differs from test to test, and would give each a server of its own.
_OF_PYTEST = "PYTEST_CURRENT_TEST"

#: Starts a process for each line that it reads, and tells its status when it is asked for it.
_OWNER = """
import json, signal, subprocess, sys
# They are ignored where tests run in the background, and would be by jobs.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
started = {}
for line in sys.stdin:
    order = json.loads(line)
    if "ended" in order:
        answer = started.pop(order["ended"]).wait()
    else:
        output = open(order.pop("output"), "wb")
        process = subprocess.Popen(
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **order
        )
        started[process.pid] = process
        answer = process.pid
    print(json.dumps(answer), flush=True)
"""


class Owner:
    """A process that starts jobs, and with which their servers end.

    Args:
        folder: the folder that jobs run in.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._jobs = 0
        self._clients = set()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        servers = self.servers()
        for client in self._clients:
            kill(client)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        # Nothing is left behind, whatever a test has done.
        wait_until(lambda: not any(map(is_alive, servers)), seconds=30)

    def start(self, *command, forked=True, launch=LAUNCH, prefix=(), **environment):
        """Start a script with its arguments, and return the job."""
        client = ["-ESs", str(launch)] if forked else []
        variables = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"} | environment
        self._jobs += 1
        output = self.folder / f"output-{self._jobs}"
        pid = self._ask(
            args=[*prefix, sys.executable, *client, *map(str, command)],
            cwd=str(self.folder),
            env={key: value for key, value in os.environ.items() if key != _OF_PYTEST} | variables,
            output=str(output),
        )
        self._clients.add(pid)
        return Job(self, pid, output)

    def run(self, *command, **how):
        """Run a script, and return its status and what it printed."""
        return self.start(*command, **how).end()

    def status(self, client):
        """Wait for the end of a job, and return its status."""
        status = self._ask(ended=client)
        self._clients.discard(client)
        return status

    def _ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def servers(self):
        """Return the ids of the servers that run for the jobs of this process."""
        return servers_of(self.process.pid)


class Job:
    """A job that was started: its client, and its output."""

    def __init__(self, owner, client, output):
        self.client = client
        self.output = output
        self._owner = owner

    def send(self, number):
        os.kill(self.client, number)

    def end(self):
        """Wait for the end, and return the status and what was printed."""
        return self._owner.status(self.client), self.printed()

    def printed(self):
        return self.output.read_text(errors="backslashreplace")

    def wait_for(self, text):
        """Wait until the job has printed a text; return all that it has printed."""
        wait_until(lambda: text in self.printed(), seconds=120)
        return self.printed()

    def pid(self):
        """Return the process of the script, which prints "pid N" at its start."""
        return int(self.wait_for("\n").split()[1])


def servers_of(owner):
    """Return the ids of the servers that run for the jobs of a process."""
    found = commands_with("--serve", f"/{owner}-")
    # A job has the command line of its server.
    return [pid for pid in found if _parent(pid) not in found]


def commands_with(*texts):
    """Return the ids of the processes whose command lines have all of some texts."""
    return [pid for pid, line in _command_lines() if all(text.encode() in line for text in texts)]


def children(pid):
    """Return the ids of the processes that a process has started and not waited for."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_bytes()
        except OSError:
            continue


def is_alive(pid):
    """Return whether a process runs; one that has ended and was not asked for does not."""
    return state_of(pid) not in ("", "Z", "X")


def _parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def state_of(pid):
    """Return the letter of a process's state; "" where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def kill(pid):
    """Kill a process, and wait until it has ended."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
