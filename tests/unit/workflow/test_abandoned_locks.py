"""The lock of a killed Snakemake is told of, with what to do; that of a running one is not."""

import subprocess
import sys

import pytest

from memtrain.workflow.abandoned_locks import find_abandoned_lock


@pytest.fixture
def locked(tmp_path):
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/model\n")
    return tmp_path


def test_without_a_lock_there_is_nothing_to_tell(tmp_path):
    assert find_abandoned_lock(tmp_path) is None
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    assert find_abandoned_lock(tmp_path) is None


def test_the_lock_of_a_snakemake_that_is_gone_is_told(locked):
    advice = find_abandoned_lock(locked)
    assert advice is not None
    assert "call `snakemake --unlock`" in advice


@pytest.mark.slow
def test_the_lock_of_a_running_snakemake_is_its_own_business(locked, tmp_path_factory):
    """A program of the name snakemake waits in the folder, then in another one."""
    program = tmp_path_factory.mktemp("bin") / "snakemake"
    program.write_text("print(flush=True)\ninput()\n")
    for folder in (locked, tmp_path_factory.mktemp("other")):
        with subprocess.Popen(
            [sys.executable, str(program)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as running:
            running.stdout.readline()
            assert (find_abandoned_lock(locked) is None) == (folder == locked)
            running.communicate("\n")
