"""Progress: plain lines in a log, a bar on a terminal."""

import io
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from memtrain.system.progress import Progress

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

#: A program that says something while it shows its progress.
PROGRAM = """
import logging
from memtrain.cli.entry_point import show_messages
from memtrain.system.progress import Progress

show_messages()
now = iter(range(1000))
with Progress("training", 100, "steps", clock=lambda: next(now)) as progress:
    for step in range(100):
        progress.advance(1, f"loss {step}, " + 50 * "x")
        if step == 49:
            logging.getLogger("memtrain.x").info("half of it is done")
"""


def lines_in_log(total):
    stream = io.StringIO()
    now = iter(range(1000))
    with Progress("training", total, "steps", stream, clock=lambda: next(now)) as progress:
        for step in range(100):
            progress.advance(1, f"loss {step}")
    return stream.getvalue().splitlines()


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end():
    lines = lines_in_log(total=100)
    assert len(lines) == 11
    assert lines[0] == "training: 10 of 100 (10%) steps, 1 steps/s, 1:30 left, loss 9"
    assert lines[-1] == "training: 100 of 100 (100%) steps, 1 steps/s"


def test_without_a_total_there_is_no_share():
    assert lines_in_log(total=None)[0] == "training: 10 steps, 1 steps/s, loss 9"


def test_units_of_earlier_runs_do_not_count_for_the_rate():
    stream = io.StringIO()
    now = iter([0, 10, 20])
    with Progress("training", 1000, "steps", stream, clock=lambda: next(now)) as progress:
        progress.start_at(500)
        progress.advance(10)
    assert stream.getvalue().startswith("training: 510 of 1,000 (51%) steps, 1 steps/s, 8:10 left")


def test_an_error_is_not_followed_by_a_last_line():
    stream = io.StringIO()

    def fail():
        with Progress("training", 100, "steps", stream) as progress:
            progress.advance(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert stream.getvalue() == ""


def lines_on_terminal(program, columns):
    """Return all lines that a program draws on a terminal with a width, each redrawn line too."""
    terminal, side_of_program = pty.openpty()
    settings = {"PYTHONPATH": str(SCRIPTS), "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=side_of_program,
        stderr=side_of_program,
        env=os.environ | settings,
    )
    os.close(side_of_program)
    written = b""
    # When the program has ended, Linux answers with an error.
    with open(terminal, "rb", buffering=0) as screen, suppress(OSError):
        while part := screen.read(4096):
            written += part
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    return [line for line in re.split(r"[\r\n]+", text) if line]


@pytest.mark.slow
def test_a_terminal_gets_a_bar_that_fits_and_messages_above_it():
    lines = lines_on_terminal(PROGRAM, columns=60)
    assert max(map(len, lines)) <= 60
    assert "half of it is done" in lines
    assert any(line.startswith("━") and "training: 100 of 100 (100%)" in line for line in lines)
    assert not any("loss" in line and "half" in line for line in lines)
