"""How blocks come from the disk, and what happens if they do not."""

import os
import threading
import time

import numpy as np
import pytest

from memtrain.core.errors import UserError
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading import field_files, reader_choice, readers
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.pages import HUGE_PAGE_BYTES, PAGE_BYTES, address_of, huge_page_bytes
from memtrain.system.file_systems import FileSystem
from tests.unit.loading.orders import (
    READERS,
    SMALL,
    drop_from_cache,
    is_cached,
    open_threads_and_files,
    rows_of,
)


def test_rows_in_the_page_cache_are_not_copied(plain):
    with open(plain, "rb") as file:
        file.read()
    for reader in READERS:
        assert list(BlockLoader(MemmapDataset(plain), 64, shuffle=SMALL, reader=reader))
    drop_from_cache(plain)
    assert not is_cached(plain)
    list(BlockLoader(MemmapDataset(plain), 64, shuffle=SMALL, reader="direct"))
    assert not is_cached(plain), "direct reads leave the page cache to others"
    list(BlockLoader(MemmapDataset(plain), 64, shuffle=SMALL, reader="pread"))
    assert is_cached(plain)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("cached", [True, False])
def test_a_file_that_shrinks_is_an_error_that_names_file_and_byte(plain, reader, cached):
    size = os.stat(plain).st_size
    loader = BlockLoader(MemmapDataset(plain), 8, shuffle=SMALL, reader=reader, epochs=50)
    if not cached:
        drop_from_cache(plain)
    batches = iter(loader)
    next(batches)
    os.truncate(plain, size // 3)
    with pytest.raises(UserError, match=r"plain.npy: there is nothing at byte [\d,]+; .* had"):
        assert all(batch[0, 0] == batch[0, 127] for batch in batches)
    assert open_threads_and_files()[1] == []


def test_a_file_of_another_size_is_refused(plain):
    dataset = MemmapDataset(plain)
    os.truncate(plain, 8192)
    with pytest.raises(UserError, match="cut short"):
        next(iter(BlockLoader(dataset, 8)))


class FailingReads:
    """Reads that are slow, come back in pieces, and fail at some byte."""

    def __init__(self, fails_at=None, short_at=None):
        self.fails_at, self.short_at = fails_at, short_at

    def __call__(self, descriptor, targets, place, flags=0):
        if flags:
            raise BlockingIOError(11, "not cached")
        time.sleep(0.001)
        size = min(1000, len(targets[0]))
        if self.fails_at is not None and place <= self.fails_at < place + size:
            raise OSError(5, "Input/output error")
        if self.short_at is not None and place + size > self.short_at:
            size = max(0, self.short_at - place)
        return REAL_PREADV(descriptor, [targets[0][:size]], place)


REAL_PREADV = os.preadv


def test_slow_reads_in_pieces_give_the_same_rows(records, monkeypatch):
    expected = [rows_of(batch) for batch in BlockLoader(MemmapDataset(records), 50, shuffle=SMALL)]
    drop_from_cache(records)
    monkeypatch.setattr(os, "preadv", FailingReads())
    loader = BlockLoader(MemmapDataset(records), 50, shuffle=SMALL, reader="pread")
    assert [rows_of(batch) for batch in loader] == expected


class WaitingReads:
    """Reads that wait at some places until there was one at other places.

    Args:
        waiting: the places in the file where reads wait.
        awaited: the places of which one has to be read before that.
    """

    def __init__(self, waiting, awaited):
        self.waiting, self.awaited = waiting, awaited
        self.is_begun = threading.Event()
        self.waits = []

    def __call__(self, descriptor, targets, place, flags=0):
        if not flags and place in self.awaited:
            self.is_begun.set()
        if not flags and place in self.waiting:
            self.waits.append(self.is_begun.wait(5))
        return REAL_PREADV(descriptor, targets, place, flags)


def test_reading_goes_on_while_the_end_of_the_next_buffer_is_awaited(records, monkeypatch):
    drop_from_cache(records)
    loader = BlockLoader(MemmapDataset(records), 50, shuffle=SMALL, reader="pread")
    layout, order = loader.dataset.layout, loader.order.epoch(0)
    next_one, next_but_one = (
        (layout.offset + layout.row_bytes * order.buffer(number).runs.starts).tolist()
        for number in (1, 2)
    )
    reads = WaitingReads(next_one, next_but_one)
    monkeypatch.setattr(os, "preadv", reads)
    assert len(list(loader)) == len(loader)
    assert reads.waits
    assert all(reads.waits), "no thread read the buffer after"


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        (
            FailingReads(fails_at=150_000),
            r"data.npy: reading at byte 1[45]\d,\d\d\d failed .*Input",
        ),
        (FailingReads(short_at=150_000), r"data.npy: there is nothing at byte 1[5-9]\d,\d\d\d"),
    ],
)
def test_reads_that_fail_name_file_and_byte(records, monkeypatch, reads, message):
    before = open_threads_and_files()
    drop_from_cache(records)
    monkeypatch.setattr(os, "preadv", reads)
    with pytest.raises(UserError, match=message):
        list(BlockLoader(MemmapDataset(records), 50, shuffle=SMALL, reader="pread"))
    assert open_threads_and_files() == before


def leave_early(loader):
    for _ in loader:
        raise ZeroDivisionError


@pytest.mark.slow
def test_threads_and_files_are_gone_after_an_iteration(records):
    before = open_threads_and_files()
    for reader in READERS:
        loader = BlockLoader(MemmapDataset(records), 50, shuffle=SMALL, reader=reader)
        drop_from_cache(records)
        iterator = iter(loader)
        next(iterator)
        assert open_threads_and_files() != before
        del iterator
        assert open_threads_and_files() == before
        list(loader)
        assert open_threads_and_files() == before
        with pytest.raises(ZeroDivisionError):
            leave_early(loader)
        assert open_threads_and_files() == before


def test_a_transform_that_fails_leaves_nothing_open(records):
    before = open_threads_and_files()

    def fail(row):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        list(BlockLoader(MemmapDataset(records, transform=fail), 50, shuffle=SMALL))
    assert open_threads_and_files() == before


def test_network_files_are_never_mapped(plain, monkeypatch):
    found = FileSystem("nfs4", "/", is_network=True)
    monkeypatch.setattr(reader_choice, "file_system_of", lambda path: found)
    monkeypatch.setattr(field_files, "file_system_of", lambda path: found)
    monkeypatch.setattr(field_files.FieldFiles, "mapped", lambda self: pytest.fail("mapped"))
    rows = first_column(BlockLoader(MemmapDataset(plain), 64, shuffle=SMALL))
    assert np.array_equal(np.sort(rows), np.arange(3000))


def test_a_kernel_that_cannot_populate_a_mapping_is_asked_by_reading(plain, monkeypatch):
    """As on Linux before 5.14, which does not know the advice."""
    monkeypatch.setattr(readers, "MADV_POPULATE_READ", 9999)
    drop_from_cache(plain)
    rows = first_column(BlockLoader(MemmapDataset(plain), 64, shuffle=SMALL, reader="mmap"))
    assert np.array_equal(np.sort(rows), np.arange(3000))


def first_column(loader):
    return np.concatenate([batch[:, 0].numpy().copy() for batch in loader])


@pytest.mark.parametrize("size", [1, 3 * PAGE_BYTES, HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 1])
def test_memory_in_huge_pages_begins_on_one_and_can_be_written(size):
    memory = huge_page_bytes(size)
    assert address_of(memory) % HUGE_PAGE_BYTES == 0
    assert memory.shape == (size,)
    memory[:] = 7
    assert memory.sum(dtype=np.int64) == 7 * size
