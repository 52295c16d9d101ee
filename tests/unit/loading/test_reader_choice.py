"""Which reader is taken, why, and that it changes no batch."""

import json
import logging
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from memtrain.core.errors import UserError
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.loading import reader_choice
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.pages import PAGE_BYTES, address_of, are_resident
from memtrain.system.file_systems import FileSystem
from tests.cgroups import UnavailableError, memory_cgroup
from tests.unit.loading.orders import ALL_MEMORY, READERS, SMALL, drop_from_cache

MIB = 1 << 20


def batches_of(path, **settings):
    loader = BlockLoader(MemmapDataset(path), 64, shuffle=SMALL, seed=3, epochs=2, **settings)
    # Opening the dataset has read the header, and a little ahead.
    drop_from_cache(path)
    batches = np.concatenate([batch.numpy().copy() for batch in loader])
    return str(loader.reading), batches


@pytest.mark.slow
def test_every_reader_gives_the_same_bytes_whether_rows_fit_or_not(plain):
    _, expected = batches_of(plain)
    for reader in ["auto", *READERS]:
        for reserved in (0, ALL_MEMORY):
            _, found = batches_of(plain, reader=reader, reserved_bytes=reserved)
            assert found.tobytes() == expected.tobytes(), (reader, reserved)


def test_rows_that_do_not_fit_are_read_past_the_page_cache(plain):
    fitting, _ = batches_of(plain)
    assert fitting.startswith("mmap (")
    assert "a local file system; 1500 KiB of rows, " in fitting
    assert cached_pages(plain) > 300
    reading, _ = batches_of(plain, reserved_bytes=ALL_MEMORY)
    assert reading.startswith(
        "direct (reads with O_DIRECT: 1500 KiB of rows, 0 B of memory is free for them, by the "
    )
    assert cached_pages(plain) == 0


@pytest.mark.parametrize("reader", ["mmap", "pread"])
def test_pages_of_rows_that_do_not_fit_are_given_up(plain, reader):
    batches_of(plain, reader=reader)
    assert cached_pages(plain) > 300
    reading, _ = batches_of(plain, reader=reader, reserved_bytes=ALL_MEMORY)
    assert reading.startswith(reader)
    # Blocks begin and end in the middle of pages, which two threads may have needed at once.
    assert cached_pages(plain) < 30


def cached_pages(path):
    content = np.memmap(path, np.uint8, "r")
    first = address_of(content)
    return sum(are_resident(first + place, 1) for place in range(0, len(content), PAGE_BYTES))


@pytest.mark.parametrize(
    ("kind", "reserved", "reader"),
    [
        ("ext4", 0, "mmap"),
        ("ext4", ALL_MEMORY, "direct"),
        ("nfs4", 0, "pread"),
        ("lustre", ALL_MEMORY, "pread"),
        ("fuse.sshfs", 0, "pread"),
        ("tmpfs", 0, "mmap"),
    ],
)
def test_auto_suits_the_file_system(plain, monkeypatch, kind, reserved, reader):
    found = FileSystem(kind, "/data", kind not in ("ext4", "tmpfs"))
    monkeypatch.setattr(reader_choice, "file_system_of", lambda path: found)
    choice = BlockLoader(MemmapDataset(plain), 64, reserved_bytes=reserved).reading
    assert choice.name == reader
    if reader != "direct":
        assert f"lies on {kind}, mounted at /data" in choice.reason


@contextmanager
def mounted_ramfs(folder):
    """Mount a file system that has no direct reads."""
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "ramfs", "ramfs", folder]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        # Files may be mapped as long as an error holds on to a loader.
        subprocess.run(["umount", "--lazy", folder], check=True)


def side_by_side(*folders):
    """Return rows of two fields, each in a file in a folder of its own."""
    rows = 2000
    stored = []
    for number, folder in enumerate(folders):
        path = folder / f"field{number}.bin"
        (np.arange(rows * 5, dtype=np.int32) + number).tofile(path)
        files = [(str(path), path.stat().st_size, [(0, rows)])]
        stream = Stream.of_parts(files, np.dtype(np.int32), (5,))
        stored.append(StoredField(f"field{number}", stream, Consecutive(rows)))
    return FilesLayout(tuple(stored), {one.name: FieldView(one.name) for one in stored})


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["auto", "direct"])
def test_files_that_refuse_direct_reads_are_read_otherwise(tmp_path, monkeypatch, caplog, reader):
    (tmp_path / "disk").mkdir()
    with mounted_ramfs(tmp_path / "memory") as memory:
        layout = side_by_side(tmp_path / "disk", memory)
        for field in layout.stored:
            drop_from_cache(field.stream.paths[0])
        with caplog.at_level(logging.INFO):
            loader = BlockLoader(
                MemmapDataset(layout),
                50,
                shuffle=SMALL,
                reader=reader,
                mapped_files=0,  # or the rows that lie in memory would be used where they are
                reserved_bytes=ALL_MEMORY,
                tell_rows=True,
            )
            for batch in loader:
                expected = loader.rows[:, np.newaxis] * 5 + np.arange(5)
                assert np.array_equal(batch["field0"].numpy(), expected)
                assert np.array_equal(batch["field1"].numpy(), expected + 1)
        assert loader.reading.name == "direct"
        assert caplog.text.count("direct reads are refused there (Invalid argument)") == 1
        assert f"files below {memory} are read through the page cache" in caplog.text


@pytest.mark.slow
def test_where_all_files_refuse_direct_reads(tmp_path, monkeypatch):
    with mounted_ramfs(tmp_path / "memory") as memory:
        path = memory / "rows.npy"
        np.save(path, np.zeros((100, 3), np.float32))
        with pytest.raises(UserError, match=r"refuses direct reads \(Invalid .* `reader: pread`"):
            BlockLoader(MemmapDataset(path), 10, reader="direct")
        # As if it were a file system on a disk.
        found = FileSystem("odd", str(memory), is_network=False)
        monkeypatch.setattr(reader_choice, "file_system_of", lambda path: found)
        loader = BlockLoader(MemmapDataset(path), 10, reserved_bytes=ALL_MEMORY)
        assert loader.reading.name == "mmap"
        assert "refuses direct reads" in loader.reading.reason
        assert len(list(loader)) == 10


#: Goes through three epochs; after the first, the program takes most of the memory, and gives it
#: back after the second.
EPOCHS = """
import json, logging, sys, time
import numpy as np
from memtrain.config.training import ShuffleSettings
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.system.memory import available_memory

logging.basicConfig(level=logging.INFO, format="%(message)s")
path, left = sys.argv[1], int(sys.argv[2])
shuffle = ShuffleSettings(block_bytes="64KiB", buffer_bytes="4MiB")
loader = BlockLoader(MemmapDataset(path), 256, shuffle=shuffle, memory_budget=1 << 30)
readers, sums = [loader.reading.name], []
for epoch in range(3):
    time.sleep(1.1)
    sums.append(int(sum(batch.numpy().view(np.uint32).sum(dtype=np.uint64) for batch in loader)))
    readers.append(loader.reading.name)
    ballast = np.ones(available_memory().bytes - left, np.uint8) if epoch == 0 else None
print(json.dumps({"readers": readers, "sums": sums}))
"""


@pytest.mark.slow
def test_the_choice_changes_with_the_memory_that_is_free(repository, tmp_path):
    """In a real memory cgroup: rows that fitted no longer do, and then they do again."""
    path = tmp_path / "rows.npy"
    values = np.random.default_rng(0).random((128 * 1024, 256), np.float32)  # 128 MiB
    np.save(path, values)
    drop_from_cache(path)
    command = [sys.executable, "-c", EPOCHS, str(path), str(100 * MIB)]
    environment = {**os.environ, "PYTHONPATH": str(repository / "scripts")}
    try:
        with memory_cgroup(640 * MIB) as cgroup:
            done = cgroup.run(command, env=environment, capture_output=True, text=True)
    except UnavailableError as error:
        pytest.skip(str(error))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["readers"] == ["mmap", "mmap", "direct", "mmap"]
    assert len(set(found["sums"])) == 1
    assert done.stderr.count("reader: direct (reads with O_DIRECT: 128 MiB of rows, ") == 1
    assert "by the memory cgroup " in done.stderr
    assert done.stderr.count("reader: mmap") == 1
