"""A short pass of every campaign, as `python -m campaigns` runs it."""

import os
import re
import subprocess
import sys

import pytest

CASES = 6

#: A seed with which most of the first kills come while a file is written.
SEED = 23

NAMES = ("kills", "io_errors", "damage", "configurations", "concurrency", "flips")

#: Cases of the campaign whose cases are several trainings each.
TRAININGS = 2


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
    bounds = ("--seed", str(SEED), "--cases", str(CASES), "--minutes", "1")
    return run_campaigns(*NAMES, *bounds, repository=repository)


@pytest.mark.parametrize("name", NAMES)
def test_a_short_pass_breaks_nothing(outcomes, name):
    found = outcomes[name]
    assert 1 <= sum(found.values()) <= CASES  # a minute ends it too, wherever it is by then
    faults = {kind.removeprefix("fault: ") for kind, n in found.items() if n and "fault: " in kind}
    assert faults == set()


def test_a_short_pass_of_trainings_gives_the_same_bytes(repository):
    bounds = ("--seed", str(SEED), "--cases", str(TRAININGS), "--minutes", "1")
    (found,) = run_campaigns("trainings", *bounds, repository=repository).values()
    assert [kind for kind, n in found.items() if n and "fault: " in kind] == []
    kills = [int(kind.split()[1]) * n for kind, n in found.items() if kind.startswith("killed")]
    assert sum(kills) >= 2
