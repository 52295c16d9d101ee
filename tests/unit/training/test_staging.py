"""Stage-in: a training reads its rows from a copy, and everything else stays the same."""

import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memtrain.data.indexing import index_shards
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import create
from memtrain.recipes.recipe import Piece
from memtrain.system.file_systems import FileSystem
from memtrain.system.memory import AvailableMemory
from memtrain.training.staging import (
    disk_shortage,
    memory_shortage,
    reason_against_copy,
    staged,
)
from memtrain.training.stopping import StopRequests, TrainingStopped
from tests.programs import processes_in, quick_python
from tests.trainings import Training, wait_until

GENERATOR = np.random.default_rng(7)
FEATURES = GENERATOR.random((3000, 32), dtype=np.float32)
TARGET = FEATURES.sum(1)
#: On the CPU, since each of several processes needs a GPU of its own.
SETTINGS = {
    "model": "linear",
    "batch_size": 8,
    "accumulation_steps": 4,
    "epochs": 3,
    "device": "cpu",
}
#: Ranges that begin and end in the middle of pages and of shards of 100 rows.
TRAIN = [[50, 777], [1234, 2990]]

NEVER = ("--loading", "{stage: never}")
ALWAYS = ("--loading", "{stage: always}")
COPIED = "rows were copied to"
FROM_COPY = "rows are read from a copy,"

DISK, MEMORY = FileSystem("xfs", "/local", False), FileSystem("tmpfs", "/tmp", False)
NFS, LUSTRE = FileSystem("nfs4", "/home", True), FileSystem("lustre", "/scratch", True)


@pytest.fixture
def local_disk(tmp_path, monkeypatch):
    """A folder that stands for the disk of the node, where copies are made."""
    folder = tmp_path / "local disk"
    folder.mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", str(folder))
    return folder


@pytest.fixture
def new_training(resolve, tmp_path):
    """Return a function that prepares a training in a folder of its own."""

    def make(name, **changes):
        return Training(
            tmp_path / name,
            *resolve(FEATURES, TARGET, SETTINGS | changes, train=TRAIN, shard=100),
        )

    return make


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_training_from_a_copy_gives_the_same_bytes(new_training, local_disk, processes):
    from_file, from_copy = new_training("file"), new_training("copy")
    assert "rows are read where they are: stage: never" in from_file.run(*NEVER)
    said = from_copy.run(*ALWAYS, processes=processes)
    assert from_copy.digests() == from_file.digests()
    # One of the processes has made the copy, and only rank 0 writes messages.
    assert said.count(COPIED) == 1 if processes == 1 else said.count(COPIED) <= 1
    assert f"{FROM_COPY} {local_disk}/" in said
    assert list(local_disk.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["mmap", "pread", "direct"])
def test_every_reader_reads_the_copy(new_training, local_disk, reader):
    from_file, from_copy = new_training("file"), new_training("copy")
    from_file.run(*NEVER)
    said = from_copy.run("--loading", f"{{stage: always, reader: {reader}}}")
    assert COPIED in said
    assert from_copy.digests() == from_file.digests()


def test_only_the_rows_of_the_training_are_copied(resolve, local_disk):
    data, recipe = resolve(FEATURES, TARGET, SETTINGS, train=[[50, 150], [2900, 2950]], shard=100)
    with staged(data, recipe, "always", 1, StopRequests()) as rows:
        assert rows.is_copy
        whole, copy = MemmapDataset(data), MemmapDataset(rows.path)
        assert copy.layout == whole.layout
        for start, end in recipe.training.rows.ranges:
            at = np.arange(start, end)
            assert np.array_equal(copy.gather(at)["features"], whole.gather(at)["features"])
        # The rest are holes. A file system stores whole pages, so a little more is stored.
        held = os.stat(rows.path)
        assert held.st_size == os.stat(data).st_size
        assert 150 * whole.layout.row_bytes < held.st_blocks * 512 < 0.3 * held.st_size
        assert not MemmapDataset(rows.path)[1000]["features"].any()


@pytest.mark.parametrize(
    ("stage", "source", "local", "epochs", "nodes", "reason"),
    [
        ("always", DISK, DISK, 1, 1, None),
        ("always", NFS, LUSTRE, 1, 8, None),
        ("never", NFS, DISK, 9, 1, "stage: never"),
        ("auto", NFS, DISK, 2, 1, None),
        ("auto", LUSTRE, DISK, 5, 4, None),
        ("auto", DISK, DISK, 9, 1, "xfs is a file system of this machine"),
        ("auto", NFS, LUSTRE, 9, 1, "below /scratch, is lustre, not a disk"),
        ("auto", NFS, MEMORY, 9, 1, "below /tmp, is tmpfs, not a disk"),
        ("auto", NFS, DISK, 1, 1, "epochs left: 1, which read no more rows than a copy would"),
        ("auto", NFS, DISK, 0.25, 1, "epochs left: 0.25,"),
        ("auto", NFS, DISK, 1.01, 1, None),
        ("auto", NFS, DISK, 4, 4, "copies of 4 nodes"),
    ],
)
def test_when_a_copy_pays(stage, source, local, epochs, nodes, reason):
    found = reason_against_copy(stage, source, local, epochs=epochs, nodes=nodes)
    assert found is None if reason is None else reason in found


def test_a_copy_leaves_room_on_the_disk_for_others():
    assert disk_shortage(900, free_bytes=950, disk_bytes=1000) is None
    assert disk_shortage(901, free_bytes=950, disk_bytes=1000) == (
        "901 B are needed and 50 B are left to others, but 950 B are free"
    )


def test_a_copy_in_memory_leaves_memory_for_the_training():
    left = AvailableMemory(1000, "the memory cgroup /job")
    assert memory_shortage(400, training_bytes=100, memory=left) is None
    assert memory_shortage(401, training_bytes=100, memory=left) == (
        "a copy there takes memory of the job: 401 B are needed, but the memory cgroup /job leaves "
        "400 B for it beside the training"
    )
    assert "leaves 0 B" in memory_shortage(1, training_bytes=501, memory=left)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["auto", "never"])
def test_rows_on_a_local_disk_are_not_copied(new_training, local_disk, stage):
    said = new_training("one").run("--loading", f"{{stage: {stage}}}")
    assert re.search("^rows are read where they are: ", said, re.MULTILINE)
    assert COPIED not in said


@pytest.mark.slow
def test_a_process_that_was_killed_while_copying_harms_nobody(resolve, tmp_path, local_disk):
    features = np.zeros((300_000, 64), np.float32)
    training = Training(tmp_path / "x", *resolve(features, features[:, 0], SETTINGS, shard=10_000))
    # SIGSTOP keeps the process from finishing the copy before it is killed.
    for _ in range(10):
        with training.started(*ALWAYS, "--max-minutes", "0.2") as process:
            wait_until(lambda: list(local_disk.iterdir()))
            for pid in processes_in(training.folder):
                os.kill(pid, signal.SIGSTOP)
            (copy,) = local_disk.iterdir()
            was_copying = copy.suffix == ".part"
            training.kill()
            said = process.stdout.read()
        if was_copying:
            break
    assert was_copying
    assert COPIED not in said
    with StopRequests() as stop:
        recipe = training.recipe
        with staged(training.data, recipe, "always", 1, stop) as rows:
            assert rows.is_copy
            assert list(local_disk.iterdir()) == [Path(rows.path)]
            assert np.array_equal(np.load(rows.path)["features"], features)
    assert list(local_disk.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_that_was_killed_resumes_from_a_copy(new_training, local_disk, processes):
    uninterrupted, killed = (
        new_training("uninterrupted", epochs=12),
        new_training("killed", epochs=12),
    )
    uninterrupted.run(*NEVER)
    often = ("--running", "{checkpoint: {steps: 5}}")
    with killed.started(*ALWAYS, *often, processes=processes):
        wait_until(lambda: killed.checkpoints())
        killed.kill()
    said = killed.run(*ALWAYS, processes=processes)
    assert "going on after step" in said
    assert f"{FROM_COPY} {local_disk}/" in said
    assert killed.digests() == uninterrupted.digests()
    assert list(local_disk.iterdir()) == []


def test_a_stop_ends_the_copying(resolve, local_disk):
    data, recipe = resolve(FEATURES, TARGET, SETTINGS, shard=100)
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        error = pytest.raises(TrainingStopped, match="SIGTERM was received: stopped before its")
        with error, staged(data, recipe, "always", 1, stop):
            pass
    assert list(local_disk.iterdir()) == []


@pytest.mark.slow
def test_two_trainings_of_the_same_rows_share_a_copy(new_training, local_disk):
    first, second = new_training("first", epochs=100_000), new_training("second", seed=5)
    alone = new_training("alone", seed=5)
    alone.run(*NEVER)
    with first.started(*ALWAYS) as process:
        wait_until(lambda: first.is_at(1))
        said = second.run(*ALWAYS)
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        assert process.wait() == 75
    assert COPIED in output
    assert COPIED not in said
    assert f"{FROM_COPY} {local_disk}/" in said
    assert second.digests() == alone.digests()
    assert list(local_disk.iterdir()) == []


@pytest.mark.slow
def test_without_permitted_space_no_copy_is_made(new_training, local_disk):
    """A quota or a limit on file sizes shows only when space is allocated."""
    from_file, limited = new_training("file"), new_training("limited")
    from_file.run(*NEVER)

    def refuse_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        limited.command(*ALWAYS, python=quick_python()),
        cwd=limited.folder,
        env=limited.environment({}),
        capture_output=True,
        text=True,
        preexec_fn=refuse_large_files,
    )
    assert done.returncode == 0, done.stderr
    assert f"where they are: no copy in {local_disk}: File too large" in done.stderr
    assert limited.digests() == from_file.digests()
    assert list(local_disk.iterdir()) == []


@pytest.mark.slow
def test_on_a_full_disk_no_copy_is_made(new_training, local_disk):
    from_file, training = new_training("file"), new_training("full")
    from_file.run(*NEVER)
    mount = 'mount -t tmpfs -o size=300k none "$SLURM_TMPDIR" && exec "$@"'
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("no file systems can be mounted here")
    done = subprocess.run(
        [*prefix, *training.command(*ALWAYS)],
        cwd=training.folder,
        env=training.environment({}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # 2,483 rows of 132 bytes and a page.
    assert re.search(
        r"no copy in .*: 324.1 KiB are needed and .* but 300 KiB are free", done.stderr
    )
    assert training.digests() == from_file.digests()


@pytest.mark.slow
def test_without_the_folder_no_copy_is_made(new_training):
    said = new_training("one").run(*ALWAYS, SLURM_TMPDIR="/not/there")
    assert "no copy in /not/there: No such file or directory" in said


@pytest.mark.slow
def test_corrupt_rows_are_found_while_copying(new_training, local_disk):
    training = new_training("one")
    with open(training.data, "r+b") as file:
        for row in (60, 500, 1000, 2950):  # row 1000 is not trained on
            file.seek(4096 + row * 132)
            file.write(b"\xff")
    said = training.run(*ALWAYS, status=1)
    wanted = "shards 0 (rows [50, 100)), 5 (rows [500, 600)), 29 (rows [2900, 2990)) are not those"
    assert wanted in said
    assert not (training.folder / "model.safetensors").exists()
    assert list(local_disk.iterdir()) == []


def test_missing_rows_are_found_while_copying(resolve, local_disk):
    data, recipe = resolve(FEATURES, TARGET, SETTINGS, shard=100)
    with create(data, MemmapDataset(data).layout.dtype, 2950):
        pass
    rows = recipe.training.rows
    assert rows.pieces[-1] == Piece(start=2900, end=3000, digest=rows.pieces[-1].digest)
    error = pytest.raises(Exception, match=r"shard 29 \(rows \[2900, 3000\)\) are not those")
    with error, staged(data, recipe, "always", 1, StopRequests()):
        pass


@pytest.mark.slow
def test_copying_takes_little_memory_for_any_size(resolve, tmp_path, local_disk):
    features = np.zeros((600_000, 64), np.float32)
    data, recipe = resolve(features, features[:, 0], SETTINGS, shard=100_000)
    recipe.write(tmp_path / "split.json")
    code = """
import sys
from memtrain.system.memory import peak_memory_bytes
from memtrain.recipes.recipe import Recipe
from memtrain.training.staging import staged
from memtrain.training.stopping import StopRequests

recipe = Recipe.read(sys.argv[2])
before = peak_memory_bytes()
with staged(sys.argv[1], recipe, "always", 1, StopRequests()) as rows:
    assert rows.is_copy
    print("bytes", peak_memory_bytes() - before)
"""
    scripts = Path(__file__).resolve().parents[3] / "scripts"
    output = subprocess.check_output(
        [sys.executable, "-c", code, data, str(tmp_path / "split.json")],
        env=os.environ | {"PYTHONPATH": str(scripts)},
        text=True,
    )
    assert os.stat(data).st_size > 150_000_000
    assert int(re.search(r"bytes (\d+)", output)[1]) < 20_000_000


def test_copies_are_compared_with_blake3_digests_too(resolve, local_disk, tmp_path):
    data, recipe = resolve(FEATURES, TARGET, SETTINGS, shard=100)
    manifest = index_shards(data, 100, algorithm="blake3")
    pieces = [
        Piece(start=shard.rows.start, end=shard.rows.end, digest=shard.digest)
        for shard in manifest.shards
    ]
    rows = recipe.training.rows.model_copy(update={"pieces": pieces})
    training = recipe.training.model_copy(update={"rows": rows})
    recipe = recipe.model_copy(update={"training": training})
    with staged(data, recipe, "always", 1, StopRequests()) as staged_rows:
        assert staged_rows.is_copy
