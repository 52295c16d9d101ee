"""Record files for the benchmarks, and their pages in the page cache."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import create
from memtrain.loading.field_files import FieldFiles
from memtrain.loading.gathered_fields import stored_fields

_ROWS_PER_WRITE = 1 << 14


@contextmanager
def numbered_rows(rows: int, columns: int) -> Iterator[str]:
    """Write rows of float32 whose first value is the row's number, and yield the path of the file.

    The file lies in the folder that the environment variable BENCHMARK_FOLDER names, or else in a
    temporary one. The numbers are exact below 2**24.
    """
    with TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
        path = Path(folder) / "rows.npy"
        values = np.random.default_rng(0).random((_ROWS_PER_WRITE, columns), dtype=np.float32)
        with create(path, np.dtype("<f4"), rows, (columns,)) as writer:
            for start in range(0, rows, _ROWS_PER_WRITE):
                part = values[: rows - start]
                part[:, 0] = np.arange(start, start + len(part))
                writer.write(start, part)
        yield str(path)


def drop_from_page_cache(path: str) -> None:
    """Drop the pages of a file from the page cache.

    Raises:
        RuntimeError: if some of them are still there.
    """
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    dataset = MemmapDataset(path)
    files = FieldFiles(*stored_fields(dataset))
    edges = np.linspace(0, len(dataset), 65).astype(np.int64)
    for start, end in pairwise(edges):
        if files.is_cached(np.array([start]), np.array([end])):
            raise RuntimeError(f"rows [{start}, {end}) of {path} are still in the page cache")
    files.close()


def read_ahead_kib(path: str) -> str:
    """Return the read-ahead setting of the disk that a file lies on, in KiB."""
    number = os.stat(path).st_dev
    queue = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    for folder in (queue, queue / ".."):
        setting = folder / "queue" / "read_ahead_kb"
        if setting.exists():
            return setting.read_text().strip()
    return "unknown"
