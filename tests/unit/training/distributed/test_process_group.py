"""How long processes that train together wait for each other."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.programs import quick_python

pytestmark = pytest.mark.slow

PROGRAM = """
import sys, time
import torch
from torch import distributed
from memtrain.training.distributed.process_group import joined_process_group
from memtrain.cli.entry_point import run

def main():
    device = torch.device("cpu")
    with joined_process_group(device) as group:
        torch_group = distributed.distributed_c10d._get_default_group()
        print(torch_group._get_backend(device).options._timeout.total_seconds(), flush=True)
        if group.is_main:
            sys.stdin.readline()
        group.broadcast(1, device)

run(main)
"""


@contextmanager
def started(rank, port, repository):
    environment = {
        "PYTHONPATH": str(repository / "scripts"),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "RANK": str(rank),
    }
    process = subprocess.Popen(
        [quick_python(), "-c", PROGRAM],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_process_waits_for_hours_but_not_for_a_lost_one(repository):
    port = free_port()
    with started(0, port, repository) as first, started(1, port, repository) as second:
        # One node may copy its rows hours longer than another.
        assert [float(one.stdout.readline()) for one in (first, second)] == [12 * 3600] * 2
        first.send_signal(signal.SIGKILL)
        start_of_wait = time.monotonic()
        _, said = second.communicate(timeout=60)
        assert time.monotonic() - start_of_wait < 30
    assert second.returncode == 1
    assert "process 1 of 2 has lost process 0" in said
