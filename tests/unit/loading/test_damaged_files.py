"""A thousand files under a low limit of descriptors, and files that change while they are read."""

import os
import resource
import time

import numpy as np
import pytest

from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.shard_summaries import summarize_rows
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.loading.block_loader import BlockLoader
from tests.other_user import as_another_user
from tests.unit.loading.orders import READERS, drop_from_cache, open_threads_and_files

SHUFFLE = ShuffleSettings(block_bytes=256, buffer_bytes=1 << 20)
ROWS_PER_FILE = 30
ROW = 64


def files_of(folder, count):
    """Write files of rows, each of which repeats its number; return their dataset and paths."""
    rows = np.arange(count * ROWS_PER_FILE, dtype=np.int32)
    values = np.repeat(rows[:, np.newaxis], ROW, axis=1)
    paths = [folder / f"part-{number:04}.bin" for number in range(count)]
    for path, part in zip(paths, np.split(values, count), strict=True):
        path.write_bytes(b"header" + part.tobytes())
    found = [(str(path), path.stat().st_size, [(6, ROWS_PER_FILE)]) for path in paths]
    stream = Stream.of_parts(found, values.dtype, (ROW,))
    field = StoredField("row", stream, Consecutive(len(values)))
    return MemmapDataset(FilesLayout((field,), {"features": FieldView("row")})), paths


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("cached", [True, False])
def test_a_thousand_files_under_a_low_limit_of_descriptors(tmp_path, reader, cached):
    dataset, paths = files_of(tmp_path, 1000)
    if not cached:
        for path in paths:
            drop_from_cache(path)
    before = open_threads_and_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        seen = [
            batch["features"][:, 0].numpy().copy()
            for batch in BlockLoader(dataset, 100, shuffle=SHUFFLE, reader=reader)
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(1000 * ROWS_PER_FILE))
    assert open_threads_and_files() == before


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_may_not_be_read_is_named(tmp_path, reader):
    dataset, paths = files_of(tmp_path, 5)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o077 == 0:  # As pytest makes them.
            folder.chmod(0o755)
    os.chmod(paths[2], 0)
    told = r"part-0002.bin: .*cannot be opened any more \(Permission denied\)\. Make it readable"
    with as_another_user():
        with pytest.raises(UserError, match=told):
            list(BlockLoader(dataset, 10, shuffle=SHUFFLE, reader=reader))
        with pytest.raises(UserError, match=told):
            dataset.gather(range(len(dataset)))
        layout = dataset.layout
        with pytest.raises(UserError, match=told):
            summarize_rows("rows.json", layout, Range(0, layout.rows))
    assert open_threads_and_files()[1] == []


def go_on(batches):
    """Take all further batches; each must be whole rows."""
    for batch in batches:
        # As in a training, time passes from one batch to the next.
        time.sleep(0.005)
        features = batch["features"]
        assert (features == features[:, :1]).all()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("count", [3, 100])
def test_one_of_many_files_that_shrinks_is_named_with_a_byte(tmp_path, reader, cached, count):
    dataset, paths = files_of(tmp_path, count)
    if not cached:
        for path in paths:
            drop_from_cache(path)
    batches = iter(BlockLoader(dataset, 8, shuffle=SHUFFLE, reader=reader, epochs=100))
    next(batches)
    os.truncate(paths[1], 100)
    time.sleep(0.05)
    if cached or reader == "mmap":
        with pytest.raises(UserError, match=r"part-0001.bin: .*100[;, ].* had 7,686"):
            go_on(batches)
    else:
        # The buffer holds all rows, which were whole when they were read.
        next(batches)
        batches.close()


def test_a_file_that_is_replaced_or_gone_is_named(tmp_path):
    small = ShuffleSettings(block_bytes=256, buffer_bytes=50_000)
    dataset, paths = files_of(tmp_path, 100)
    # Files in the page cache are mapped, and a mapping keeps a file that was replaced.
    for path in paths:
        drop_from_cache(path)
    loader = BlockLoader(dataset, 8, shuffle=small, reader="direct", epochs=100)
    batches = iter(loader)
    next(batches)
    (tmp_path / "other").write_bytes(bytes(paths[1].stat().st_size))
    os.replace(tmp_path / "other", paths[1])
    with pytest.raises(UserError, match=r"part-0001.bin: it was replaced"):
        go_on_fast(batches)
    os.remove(paths[2])
    with pytest.raises(UserError, match=r"part-0002.bin: this file cannot be opened any more"):
        go_on_fast(iter(BlockLoader(dataset, 8, shuffle=small, reader="direct")))


def go_on_fast(batches):
    for _ in batches:
        pass


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("size", [100, 9000])
def test_a_file_of_another_size_than_described_is_named(tmp_path, reader, size):
    dataset, paths = files_of(tmp_path, 5)
    os.truncate(paths[3], size)
    with pytest.raises(UserError, match=r"part-0003.bin: .*(100|9,000) bytes, but it had 7,6"):
        go_on_fast(iter(BlockLoader(dataset, 8, shuffle=SHUFFLE, reader=reader)))


def test_only_the_files_that_hold_rows_of_the_ranges_are_opened(tmp_path):
    dataset, paths = files_of(tmp_path, 5)
    os.remove(paths[4])
    for reader in READERS:
        loader = BlockLoader(
            dataset, 8, shuffle=SHUFFLE, reader=reader, ranges=[(0, 4 * ROWS_PER_FILE)]
        )
        assert sum(len(batch["features"]) for batch in loader) == 4 * ROWS_PER_FILE
