"""Rate of the block loader on rows where they lie: many files, fields side by side, windows."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.file_sets import (
    Rows,
    benchmark_folder,
    in_other_elements,
    ragged,
    side_by_side,
    windows,
)
from benchmarks.measuring import Comparison, Work, compare, spread
from benchmarks.one_epoch_of_files import number_of_rows
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

READERS = ("mmap", "pread", "direct")

#: In place of a reader: the rows of a buffer are taken by np.take alone, field by field.
TAKE = "np.take alone (ceiling)"

BATCH = 1024
FILES = 1000
TOKENS = 1024

#: Half a GiB, which is two shuffle buffers.
MATRIX = Rows(np.dtype("<f4"), (512,), FILES, 256)

#: Dense numbers, categories and a label, as in Criteo's data; 512 MiB.
RECORD = np.dtype([("dense", "<f4", 13), ("sparse", "<i4", 26), ("clicked", "i1")])
RECORDS = Rows(RECORD, (), 1024, 3340)

#: Windows are taken of the bytes of these rows, so that all of them read the same file.
PLAIN_WINDOWS = Rows(np.dtype("<u2"), (TOKENS,), 1024, 256)


@dataclass(frozen=True)
class Layouts:
    """Layouts that are measured side by side.

    Attributes:
        title: title of the table.
        baseline: name of the layout that the others are compared with, reader by reader.
        layouts: the layouts by name.
        readers: the readers that all of them can have.
        has_ceiling: whether np.take alone can take their rows as well.
        files: all files that they lie in.
    """

    title: str
    baseline: str
    layouts: dict[str, FilesLayout]
    readers: tuple[str, ...] = READERS
    has_ceiling: bool = False

    @property
    def files(self) -> set[str]:
        """The paths of all files."""
        stored = (one for layout in self.layouts.values() for one in layout.stored)
        return {path for one in stored for path in one.stream.paths}


def many_files(folder: Path) -> Layouts:
    """Write the same rows into one file and into a thousand."""
    one = side_by_side(rows=MATRIX.write(folder / "one", 1))
    many = side_by_side(rows=MATRIX.write(folder / "many", FILES))
    title = f"{MATRIX.count:,} rows of 512 float32 in one file, and in {FILES:,}"
    return Layouts(title, "one file", {"one file": one, "1,000 files": many})


def fields(folder: Path) -> Layouts:
    """Write records into a file, and their fields into files of their own."""
    record = side_by_side(record=RECORDS.write(folder / "record", 1))
    streams = {
        name: Rows(dtype.base, dtype.shape, RECORDS.blocks, RECORDS.rows_per_block)
        for name, (dtype, *_) in RECORD.fields.items()
    }
    three = side_by_side(**{name: rows.write(folder / name, 1) for name, rows in streams.items()})
    title = f"{RECORDS.count:,} records of 13 float32, 26 int32 and a label"
    layouts = {"record file": record, "three files side by side": three}
    return Layouts(title, "record file", layouts, has_ceiling=True)


def streams(folder: Path) -> Layouts:
    """Write a stream of uint16, and cut it into windows."""
    plain = PLAIN_WINDOWS.write(folder / "stream", 1)
    tokens = in_other_elements(plain, np.dtype("<u2"))
    layouts = {"rows": side_by_side(tokens=plain)} | {
        f"windows, stride {stride:,}": windows(tokens, TOKENS, stride)
        for stride in (TOKENS, TOKENS // 2, 1001)
    }
    title = f"{PLAIN_WINDOWS.count:,} rows of {TOKENS:,} uint16, and windows as long of the stream"
    return Layouts(title, "rows", layouts)


def rows_of_varying_length(folder: Path) -> Layouts:
    """Write a stream of uint16, and cut it into rows of one length and of many."""
    rows = Rows(np.dtype("<u2"), (512,), 1024, 512).write(folder / "stream", 1)
    tokens = in_other_elements(rows, np.dtype("<u2"))
    layouts = {"rows of 1 KiB": side_by_side(tokens=rows)}
    layouts["ragged rows, 1 KiB on average"] = ragged(tokens, 512)
    title = "A stream of uint16 in rows of 512, and of 1 to 1,023"
    return Layouts(title, "rows of 1 KiB", layouts)


def table(layouts: Layouts, *, cold: bool, runs: int) -> str:
    """Return the rates of all layouts and readers, beside those of the baseline.

    The last column compares what the thread that takes the batches computes, which other work on
    the machine changes less than the time that it takes.
    """
    readers = layouts.readers + ((TAKE,) if layouts.has_ceiling and not cold else ())
    programs = {
        f"{name}, {reader}": take_epoch_of(layout)
        if reader == TAKE
        else epoch_of(layout, reader, cold)
        for name, layout in layouts.layouts.items()
        for reader in readers
    }
    before = (lambda: drop(layouts.files)) if cold else (lambda: None)
    rates = compare(programs, "rows/s", runs=runs, before=before, warm_up=not cold)
    state = "dropped from the page cache before every run" if cold else "in the page cache"
    lines = [
        f"| | rows/s, median (range) | MiB/s | times {layouts.baseline}, same reader "
        "| by CPU time |",
        "|---|---|---|---|---|",
    ]
    for name, layout in layouts.layouts.items():
        lines += [_line(rates, layouts.baseline, name, layout, reader) for reader in readers]
    return "\n".join([f"#### {layouts.title}, {state}", "", *lines])


def _line(rates: Comparison, baseline: str, name: str, layout: FilesLayout, reader: str) -> str:
    program = f"{name}, {reader}"
    found = rates.rates[program]
    mebibytes = float(np.median(found)) * layout.row_bytes / 2**20
    ratio = spread(rates.ratio(program, f"{baseline}, {reader}"), "{:.2f}")
    by_cpu = spread(rates.cpu_ratio(program, f"{baseline}, {reader}"), "{:.2f}")
    return f"| {program} | {spread(found, '{:,.0f}')} | {mebibytes:,.0f} | {ratio} | {by_cpu} |"


def epoch_of(layout: FilesLayout, reader: str, is_cold: bool) -> Callable[[], Work]:
    """Return a program that goes through the next epoch of some rows.

    Args:
        layout: where the rows lie.
        reader: the reader of the loader.
        is_cold: whether files have to be opened and mapped anew, and the time to the first batch
            counts.
    """
    dataset = MemmapDataset(layout)
    epochs = iter(range(1, 1000))
    kept = None if is_cold else BlockLoader(dataset, BATCH, reader=reader)

    def run() -> Work:
        start = time.perf_counter()
        batches = iter(kept or BlockLoader(dataset, BATCH, seed=next(epochs), reader=reader))
        first = [] if is_cold else list(islice(batches, 1))
        start = start if is_cold else time.perf_counter()
        cpu_start = time.thread_time()
        rows = sum(map(number_of_rows, batches))
        assert rows + sum(map(number_of_rows, first)) == len(dataset)
        return Work(rows, time.perf_counter() - start, time.thread_time() - cpu_start)

    return run


def take_epoch_of(layout: FilesLayout) -> Callable[[], Work]:
    """Return a program that takes the rows of an epoch from one mapped file a field."""
    order = BlockLoader(MemmapDataset(layout), BATCH).order
    fields, dtypes = [], []
    for one in layout.stored:
        offset, dtype = int(one.stream.part_offsets[0]), one.stream.dtype
        mapped = np.memmap(one.stream.paths[0], np.uint8, "c")
        # Bytes without a type need no alignment, without which NumPy would copy all rows first.
        fields.append(np.ndarray((one.rows,), f"V{one.row_bytes}", mapped.data, offset))
        dtypes.append(dtype)
    places = [order.epoch(0).buffer(number).rows() for number in range(order.buffers)]
    taken = [np.empty(BATCH, rows.dtype) for rows in fields]
    decoded = {
        name: np.empty((BATCH, *each.shape), each.base) for name, each in layout.fields.items()
    }

    def run() -> Work:
        start, cpu_start = time.perf_counter(), time.thread_time()
        for buffer in places:
            for first in range(0, len(buffer), BATCH):
                some = buffer[first : first + BATCH]
                for rows, out, dtype in zip(fields, taken, dtypes, strict=True):
                    np.take(rows, some, out=out[: len(some)], mode="clip")
                    for name in dtype.names or ():
                        decoded[name][: len(some)] = out[: len(some)].view(dtype)[name]
        return Work(layout.rows, time.perf_counter() - start, time.thread_time() - cpu_start)

    return run


def drop(paths: Iterable[str]) -> None:
    """Drop the pages of files from the page cache."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memory_table(folder: Path, layouts: Layouts) -> str:
    """Return what every layout and reader takes of memory, each in a process of its own."""
    lines = ["| | each row once, as in the files | anonymous memory, MiB | descriptors |"]
    lines += ["|---|---|---|---|"]
    for number, (name, layout) in enumerate(layouts.layouts.items()):
        path = folder / f"rows-{number}.json"
        layout.write(path)
        for reader in layouts.readers:
            report = one_epoch(path, reader)
            right = "yes" if report["right"] else "NO"
            low, high = (kib / 1024 for kib in report["anonymous_kib"])
            lines.append(
                f"| {name}, {reader} | {right} | {low:,.1f} to {high:,.1f} "
                f"| {report['descriptors']} |"
            )
    return "\n".join(lines)


def one_epoch(path: Path, reader: str) -> dict:
    """Run through an epoch in a process of its own, with buffers of 32 MiB."""
    command = [sys.executable, "-m", "benchmarks.one_epoch_of_files", str(path), reader]
    root = Path(__file__).resolve().parents[1]
    return json.loads(subprocess.check_output(command, cwd=root, text=True))


def main() -> str:
    """Return all tables."""
    torch.set_num_threads(1)
    parts = [f"### Rows in files: batches of {BATCH} through the block loader"]
    for make in (many_files, fields, streams, rows_of_varying_length):
        with benchmark_folder() as folder:
            layouts = make(folder)
            parts += [table(layouts, cold=False, runs=7), table(layouts, cold=True, runs=3)]
            parts.append(memory_table(folder, layouts))
    return "\n\n".join(parts)
