"""What the tests of loading share: sizes, the page cache, open threads and files."""

import gc
import os
import threading

import numpy as np

from memtrain.config.training import ShuffleSettings
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.field_files import FieldFiles
from memtrain.loading.gathered_fields import stored_fields

ROWS = 3000
READERS = ["mmap", "pread", "direct"]
#: Memory that a caller takes, so that no rows fit beside it.
ALL_MEMORY = 1 << 60
#: 21 floats a row: blocks of 49 rows that begin in the middle of pages.
SMALL = ShuffleSettings(block_bytes=4116, buffer_bytes=40000)


def drop_from_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def is_cached(path):
    dataset = MemmapDataset(path)
    files = FieldFiles(*stored_fields(dataset))
    try:
        return files.is_cached(np.array([0]), np.array([dataset.layout.rows]))
    finally:
        files.close()


def rows_of(batch):
    return batch["target"][:, 0].long().tolist()


def open_threads_and_files():
    """Return the number of threads of this process, and the record files that it holds open."""
    gc.collect()
    files = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return threading.active_count(), sorted(name for name in files if name.endswith(".npy"))
