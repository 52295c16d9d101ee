"""Stage-in on other kinds of machines: with little memory, and with a network file system."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from memtrain.system.file_systems import file_system_of
from tests.cgroups import UnavailableError, memory_cgroup
from tests.trainings import Training, wait_until

pytestmark = pytest.mark.slow

MIB = 1 << 20
SETTINGS = {
    "model": "linear",
    "batch_size": 8,
    "accumulation_steps": 4,
    "shuffle": {"block_bytes": "64KiB", "buffer_bytes": "1MiB"},
}
MEMORY_OF_IMPORTS = """
import train
from memtrain.system.memory import peak_memory_bytes
print(peak_memory_bytes())
"""


@pytest.fixture
def folder_in_memory():
    """A folder on a file system in memory."""
    if file_system_of("/dev/shm").kind != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


def memory_of_imports(repository):
    environment = os.environ | {"PYTHONPATH": str(repository / "scripts")}
    command = [sys.executable, "-c", MEMORY_OF_IMPORTS]
    return int(subprocess.check_output(command, env=environment))


def test_no_copy_is_made_in_memory_that_the_job_does_not_have(
    resolve, tmp_path, repository, folder_in_memory
):
    """Otherwise the kernel would kill the job when the copy exceeds its memory."""
    features = np.ones((480_000, 127), np.float32)
    settings = SETTINGS | {"batch_size": 8192, "epochs": 1}
    training = Training(tmp_path / "x", *resolve(features, features[:, 0], settings, shard=10_000))
    limit = memory_of_imports(repository) + 180 * MIB
    assert os.stat(training.data).st_size > 230 * MIB
    try:
        with memory_cgroup(limit) as cgroup:
            done = cgroup.run(
                training.command("--loading", "{stage: always}"),
                cwd=training.folder,
                env=training.environment({"SLURM_TMPDIR": folder_in_memory}),
                capture_output=True,
                text=True,
            )
            kills = cgroup.oom_kills
    except UnavailableError as error:
        pytest.skip(str(error))
    assert (done.returncode, kills) == (0, 0), done.stderr
    wanted = (
        f"where they are: no copy in {folder_in_memory}: a copy there takes memory of the job: "
    )
    assert wanted in done.stderr
    assert re.search(rf"the memory cgroup /\S*{cgroup.folder.name} \(limit ", done.stderr)


@pytest.fixture
def behind_a_network(tmp_path):
    """Arguments that run a program for which all folders but one lie on a network file system."""
    local, table = tmp_path / "local", tmp_path / "mountinfo"
    local.mkdir()
    table.write_text(
        f"1 0 0:1 / / rw - nfs4 server:/ rw\n2 1 0:2 / {local} rw - ext4 /dev/disk rw\n"
    )
    show = f'mount --bind {table} /proc/$$/mountinfo && exec "$@"'
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", show, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("no file can be mounted here")
    return prefix, {"SLURM_TMPDIR": str(local)}


def output_of(training, behind_a_network):
    prefix, environment = behind_a_network
    done = subprocess.run(
        [*prefix, *training.command()],
        cwd=training.folder,
        env=training.environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_only_epochs_that_are_left_count_for_a_copy(resolve, tmp_path, behind_a_network):
    features = np.random.default_rng(3).random((3200, 16), np.float32)
    data, recipe = resolve(features, features[:, 0], SETTINGS | {"epochs": 4}, shard=100)
    assert recipe.training.sizes.steps_per_epoch == 100
    begun = Training(tmp_path / "begun", data, recipe)
    with begun.started("--running", "{checkpoint: {steps: 5}}"):
        wait_until(lambda: max(begun.checkpoints(), default=0) > 300)
        begun.kill()
    said = output_of(begun, behind_a_network)
    assert "going on after step 3" in said
    assert "rows are read where they are: epochs left: 0." in said
    new = Training(tmp_path / "new", data, recipe)
    assert "rows were copied to" in output_of(new, behind_a_network)
    assert new.digests() == begun.digests()
    assert list(Path(behind_a_network[1]["SLURM_TMPDIR"]).iterdir()) == []
