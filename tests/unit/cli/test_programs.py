"""How scripts start, tell their progress, and end."""

import io
import os
import subprocess
import sys

import pytest

from memtrain.system.progress import Progress

SCRIPTS = [
    "generate_data",
    "import_data",
    "index_shards",
    "resolve_splits",
    "train",
    "evaluate",
    "summarize",
    "status",
    "lineage",
]


TRAIN_OUTPUTS = ["--model", "m", "--history", "h", "--performance", "p"]


def run(repository, script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, repository / "scripts" / f"{script}.py", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_teaches_and_usage_errors_are_2(repository, script):
    helped = run(repository, script, "--help")
    assert helped.returncode == 0
    assert "exit status: 0 " in helped.stdout
    assert len(helped.stdout) > 500
    assert run(repository, script, "--no-such-option").returncode == 2


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("generate_data", ["--settings", "{rows: x}", "--data", "d", "--source", "s"]),
        ("index_shards", ["--data", "none.npy", "--manifest", "m"]),
        (
            "train",
            [
                "--data",
                "d",
                "--split",
                "none.json",
                "--model",
                "m",
                "--history",
                "h",
                "--performance",
                "p",
            ],
        ),
    ],
)
def test_a_mistake_is_1_and_no_traceback(repository, script, arguments):
    done = run(repository, script, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{script}.py: error: ")
    assert "Traceback" not in done.stderr


def test_another_python_than_the_workflows_says_so(repository):
    note = "the workflow runs under /elsewhere/bin/python"
    other = run(repository, "train", "--help", MEMTRAIN_PYTHON="/elsewhere/bin/python")
    assert note in other.stderr
    same = run(repository, "train", "--help", MEMTRAIN_PYTHON=sys.executable)
    assert same.stderr == ""


def test_a_python_without_the_packages_is_named(repository):
    bare = [sys.executable, "-S", "-E", repository / "scripts" / "train.py", "--help"]
    done = subprocess.run(bare, capture_output=True, text=True)
    assert done.returncode == 1
    assert "it has no package numpy, torch" in done.stderr
    assert "Traceback" not in done.stderr


class Terminal(io.StringIO):
    def isatty(self):
        return True


def advanced(stream, steps=100):
    now = iter(range(1000))
    with Progress("training", steps, "steps", stream, clock=lambda: next(now)) as progress:
        for step in range(steps):
            progress.advance(1, f"loss {step}")
    return stream.getvalue()


def test_a_log_gets_plain_lines_at_a_distance():
    lines = advanced(io.StringIO()).splitlines()
    assert len(lines) == 11
    assert lines[0] == "training: 10 of 100 (10%) steps, 1 steps/s, 1:30 left, loss 9"
    assert lines[-1].startswith("training: 100 of 100 (100%) steps")


def test_a_terminal_gets_a_bar():
    text = advanced(Terminal())
    assert text.count("\r") == 101
    assert "[###############               ] training: 50 of 100" in text
    assert text.endswith("\n")
