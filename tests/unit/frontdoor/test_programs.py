"""How the command hands what it is given to Snakemake and to the scripts."""

import subprocess
import sys

import pytest

from memtrain.frontdoor.command import SCRIPTS
from memtrain.frontdoor.workflow_run import snakemake_command
from tests.programs import quick_python


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


@pytest.mark.slow
@pytest.mark.parametrize("script", ["status", "lineage"])
def test_a_script_gets_its_arguments_and_gives_its_status(repository, script):
    command = [quick_python(), repository / "scripts/memtrain_command.py", script]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"usage: memtrain {script}")
    wrong = subprocess.run([*command, "--no-such-option"], capture_output=True, text=True)
    assert wrong.returncode == 2


def test_every_command_has_its_script(repository):
    for name in SCRIPTS:
        assert (repository / "scripts" / f"{name}.py").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["", "init", "run", *SCRIPTS])
def test_nobody_waits_for_help(repository, command):
    """What takes long to import is imported when there is work to do, and not for the help."""
    program = [sys.executable, "-X", "importtime", repository / "scripts/memtrain_command.py"]
    helped = subprocess.run([*program, *command.split(), "--help"], capture_output=True, text=True)
    assert helped.returncode == 0
    assert helped.stdout.startswith("usage: ")
    imported = {line.split("|")[-1].strip() for line in helped.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "snakemake", "torchmetrics", "matplotlib"}


@pytest.mark.slow
def test_init_says_what_it_looks_at_before_its_imports(repository, tmp_path):
    program = [sys.executable, "-X", "importtime", repository / "scripts/memtrain_command.py"]
    done = subprocess.run(
        [*program, "init", "none.csv"], capture_output=True, text=True, cwd=tmp_path
    )
    lines = done.stderr.splitlines()
    said = next(place for place, line in enumerate(lines) if "looking at none.csv" in line)
    assert not any(" pyarrow" in line or " pydantic" in line for line in lines[:said])
    assert any(line.endswith(" pyarrow") for line in lines[said:])
