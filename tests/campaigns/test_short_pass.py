"""A short pass of every campaign, as `python -m campaigns` runs it."""

import os
import re
import subprocess
import sys

import pytest

CAMPAIGNS = ("kills", "io_errors", "damage", "configurations", "concurrency", "flips")

CASES = 6

#: What no case may end with.
SERIOUS = ("other bytes", "torn file", "crash", "hang")


def run_campaigns(*arguments, repository):
    """Run campaigns, and return the number of cases of each outcome, by campaign."""
    done = subprocess.run(
        [sys.executable, "-m", "campaigns", *arguments],
        cwd=repository,
        env=os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    print(done.stdout)
    sections = re.split(r"^### (\w+): .*$", done.stdout, flags=re.MULTILINE)[1:]
    return {
        name: {kind: int(n) for kind, n in re.findall(r"^\| (.+) \| ([\d,]+) \|$", text, re.M)}
        for name, text in zip(sections[::2], sections[1::2], strict=True)
    }


@pytest.fixture(scope="module")
def outcomes(repository):
    return run_campaigns("--cases", str(CASES), "--minutes", "1", repository=repository)


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_a_short_pass_breaks_nothing(outcomes, name):
    found = outcomes[name]
    assert sum(found.values()) == CASES
    assert {kind: found[f"fault: {kind}"] for kind in SERIOUS} == dict.fromkeys(SERIOUS, 0)
