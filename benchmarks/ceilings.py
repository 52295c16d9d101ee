"""Programs that show what the machine allows; others are measured against them."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.measuring import Work
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.record_file import map_rows, read_record_layout
from memtrain.loading.pages import huge_page_bytes

#: Reads that are in progress at the same time.
_THREADS = 8


def random_block_reads(path: str, block_bytes: int, direct: bool = False) -> Callable[[], int]:
    """Return a program that reads every block of a file once, in random order, in threads.

    The program does nothing with the bytes, and returns the number of rows of the file. It reads
    into huge pages, as ``BlockLoader`` does: a read into small pages is a request of 64 pieces for
    256 KiB, and a virtual disk may handle pieces one by one.

    Args:
        path: path of the file.
        block_bytes: bytes of a block.
        direct: whether the reads bypass the page cache (O_DIRECT).
    """
    layout = MemmapDataset(path).layout
    blocks = -(-(layout.file_bytes - layout.offset) // block_bytes)

    def program() -> int:
        flags = os.O_RDONLY | (os.O_DIRECT if direct else 0)
        descriptor = os.open(path, flags)
        if not direct:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        order = np.random.default_rng(0).permutation(blocks)

        def read(numbers: np.ndarray, target: memoryview) -> None:
            for number in numbers.tolist():
                os.preadv(descriptor, [target], layout.offset + number * block_bytes)

        threads = [
            threading.Thread(target=read, args=[order[first::_THREADS], target])
            for first, target in enumerate(_huge_pages(_THREADS, block_bytes))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(descriptor)
        return layout.rows

    return program


def random_gather(path: str, batch_size: int) -> Callable[[], Work]:
    """Return a program that gathers all rows in random order from mapped memory by np.take.

    The order is drawn before the clock starts.
    """
    layout = read_record_layout(path)
    rows = map_rows(path, layout)
    target = np.empty((batch_size, *layout.row_shape), layout.dtype)
    order = np.random.default_rng(0).permutation(layout.rows)

    def program() -> Work:
        start = time.perf_counter()
        for batch in _batches(order, batch_size):
            np.take(rows, batch, 0, out=target[: len(batch)], mode="clip")
        return Work(layout.rows, time.perf_counter() - start)

    return program


def memory_copy(path: str) -> Callable[[], float]:
    """Return a program that copies as many bytes as the rows of a file, from memory to memory."""
    layout = MemmapDataset(path).layout
    source = np.ones(64 << 20, np.uint8)
    target = np.ones(64 << 20, np.uint8)
    times = max(1, layout.rows * layout.row_bytes // len(source))

    def program() -> float:
        for _ in range(times):
            np.copyto(target, source)
        return times * len(source) / layout.row_bytes

    return program


def _huge_pages(parts: int, part_bytes: int) -> list[memoryview]:
    """Return parts of memory that lie in huge pages, where the kernel has some."""
    memory = huge_page_bytes(parts * part_bytes)
    return [memory[part * part_bytes :][:part_bytes].data for part in range(parts)]


def _batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (order[start : start + size] for start in range(0, len(order), size))
