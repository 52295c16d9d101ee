"""How the command hands what it is given to Snakemake and to the scripts."""

import subprocess
import sys

import pytest

from memtrain.frontdoor.command import SCRIPTS
from memtrain.frontdoor.workflow_run import snakemake_command


@pytest.mark.parametrize(
    "given",
    [
        ["--cores", "2"],
        ["--cores=2"],
        ["-c2"],
        ["-c", "2"],
        ["-j", "4"],
        ["--jobs", "4"],
        ["--profile", "mine"],
        ["--workflow-profile", "mine"],
    ],
)
def test_what_says_how_much_runs_is_not_said_twice(given):
    assert snakemake_command(given)[5:] == given


@pytest.mark.parametrize("given", [[], ["-n"], ["--config", "a=1"], ["--configfile", "c.yaml"]])
def test_all_cores_are_used_unless_something_else_is_said(given, repository):
    command = snakemake_command(given)
    assert command[3:5] == ["--snakefile", str(repository / "Snakefile")]
    assert command[5:] == ["--cores", "all", *given]


@pytest.mark.parametrize("script", ["status", "lineage"])
def test_a_script_gets_its_arguments_and_gives_its_status(repository, script):
    command = [sys.executable, repository / "scripts/memtrain_command.py", script]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"usage: memtrain {script}")
    wrong = subprocess.run([*command, "--no-such-option"], capture_output=True, text=True)
    assert wrong.returncode == 2


def test_every_command_has_its_script(repository):
    for name in SCRIPTS:
        assert (repository / "scripts" / f"{name}.py").exists()
