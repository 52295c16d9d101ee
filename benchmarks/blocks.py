"""Rate of the block loader with shuffled rows: from the page cache, and cold from the disk."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from benchmarks.ceilings import memory_copy, random_block_reads, random_gather
from benchmarks.loading import RowByRowDataset
from benchmarks.measuring import Comparison, Program, Work, compare, spread
from benchmarks.record_files import drop_from_page_cache, numbered_rows, read_ahead_kib
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

BATCH = 1024


@dataclass(frozen=True)
class FileShape:
    """Number of rows and columns of a file of float32."""

    rows: int
    columns: int

    def __str__(self) -> str:
        size = self.rows * self.columns * 4 / 2**20
        return f"{self.rows:,} rows of {self.columns} float32 ({size:,.0f} MiB)"


#: Half a GiB or more each, which is more than the shuffle buffer of 256 MiB holds.
WARM = [FileShape(6_500_000, 20), FileShape(2_000_000, 128), FileShape(250_000, 1024)]
COLD = FileShape(4_000_000, 128)

#: Rows of an epoch of the program that fetches row by row: all rows would take too long.
ROW_BY_ROW_ROWS = 20_000
COLD_ROW_BY_ROW_ROWS = 50

#: Names of programs in the tables.
ROW_BY_ROW = "one row at a time"
MEMMAP_DATASET = "MemmapDataset"
BLOCK_LOADER = "BlockLoader"
IN_ORDER = "BlockLoader, in order"
TAKE = "np.take, random rows (ceiling)"
BLOCKS = "random 256 KiB reads (ceiling)"


class EpochTimer:
    """Makes programs that run through one epoch of a loader, and keeps their times.

    Attributes:
        first_batch_seconds: times from the start of an epoch to its first batch, by program.
    """

    def __init__(self) -> None:
        self.first_batch_seconds: dict[str, list[float]] = {}
        self._epoch = 0

    def program(
        self, name: str, load: Callable[[int], Iterable], counts_first_batch: bool = False
    ) -> Program:
        """Return a program that runs through one epoch.

        Args:
            name: name of the program.
            load: function from the number of an epoch to its loader.
            counts_first_batch: whether the first batch and the time to it count.
        """

        def run() -> Work:
            self._epoch += 1
            rows = 0
            first_rows = 0
            start = time.perf_counter()
            for batch in load(self._epoch):
                if not rows:
                    first = time.perf_counter()
                    first_rows = len(batch)
                rows += len(batch)
            end = time.perf_counter()
            self.first_batch_seconds.setdefault(name, []).append(first - start)
            if counts_first_batch:
                return Work(rows, end - start)
            return Work(rows - first_rows, end - first)

        return run


def block_loader(path: str, **arguments: object) -> Callable[[int], BlockLoader]:
    """Return a function from the number of an epoch to its block loader."""
    dataset = MemmapDataset(path)
    return lambda epoch: BlockLoader(dataset, BATCH, seed=epoch, **arguments)


def row_by_row(path: str, columns: int, rows: int) -> Callable[[int], DataLoader]:
    """Return a function from the number of an epoch to a loader that fetches row by row.

    Args:
        path: path of the file.
        columns: number of columns of the file.
        rows: rows of an epoch, which are drawn at random.
    """
    layout = MemmapDataset(path).layout
    dataset = RowByRowDataset(path, "float32", (layout.rows, columns))
    dataset.data = np.memmap(path, "float32", "r", layout.offset, (layout.rows, columns))

    def load(epoch: int) -> DataLoader:
        drawn = np.random.default_rng(epoch).integers(0, layout.rows, rows).tolist()
        return DataLoader(Subset(dataset, drawn), batch_size=min(BATCH, rows))

    return load


def warm(shape: FileShape) -> str:
    """Return the table of one file whose rows are all in the page cache."""
    with numbered_rows(shape.rows, shape.columns) as path:
        dataset = MemmapDataset(path)
        timer = EpochTimer()
        loads = {
            ROW_BY_ROW: row_by_row(path, shape.columns, ROW_BY_ROW_ROWS),
            MEMMAP_DATASET: lambda epoch: DataLoader(dataset, BATCH, shuffle=True),
            BLOCK_LOADER: block_loader(path),
            IN_ORDER: lambda epoch: BlockLoader(dataset, BATCH, shuffle=False),
        }
        programs = {name: timer.program(name, load) for name, load in loads.items()}
        programs[TAKE] = random_gather(path, BATCH)
        programs["memcpy (ceiling)"] = memory_copy(path)
        comparison = compare(programs, "rows/s", runs=5)
    shuffles = {
        ROW_BY_ROW: "global",
        MEMMAP_DATASET: "global",
        BLOCK_LOADER: "blocks",
        TAKE: "global",
    }
    body = table(comparison, timer, shuffles=shuffles, ceiling=TAKE)
    return f"#### Warm: {shape}\n\n{body}"


def cold() -> str:
    """Return the table of a file whose rows have to come from the disk."""
    with numbered_rows(COLD.rows, COLD.columns) as path:
        timer = EpochTimer()
        readers = {f"{BLOCK_LOADER}, {reader}": reader for reader in ("mmap", "pread", "direct")}
        loads = {ROW_BY_ROW: row_by_row(path, COLD.columns, COLD_ROW_BY_ROW_ROWS)}
        loads |= {name: block_loader(path, reader=reader) for name, reader in readers.items()}
        programs = {
            name: timer.program(name, load, counts_first_batch=True) for name, load in loads.items()
        }
        programs |= {
            BLOCKS: random_block_reads(path, 256 << 10),
            "random 256 KiB direct reads (ceiling)": random_block_reads(path, 256 << 10, True),
            "random 1 MiB reads (ceiling)": random_block_reads(path, 1 << 20),
        }
        comparison = compare(programs, "rows/s", runs=5, before=lambda: drop_from_page_cache(path))
        ahead = read_ahead_kib(path)
    shuffles = dict.fromkeys(readers, "blocks") | {ROW_BY_ROW: "global"}
    title = (
        f"#### Cold: {COLD}, dropped from the page cache before every run; the disk reads {ahead} "
        "KiB ahead"
    )
    return f"{title}\n\n{table(comparison, timer, shuffles=shuffles, ceiling=BLOCKS)}"


def table(
    comparison: Comparison, timer: EpochTimer, *, shuffles: dict[str, str], ceiling: str
) -> str:
    """Return a comparison as Markdown, beside a ceiling and the program that fetches row by row.

    Args:
        comparison: rates of all programs.
        timer: times to the first batch.
        shuffles: how a program shuffles, by its name; others do not.
        ceiling: name of the program that shows what the machine allows.
    """
    lines = [
        f"| | shuffle | rows/s, median (range) | share of {ceiling.removesuffix(' (ceiling)')} "
        f"| times {ROW_BY_ROW} | first batch, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, rates in comparison.rates.items():
        share = spread(comparison.ratio(name, ceiling), "{:.2f}")
        times = f"{median(comparison.ratio(name, ROW_BY_ROW)):,.1f}"
        first = timer.first_batch_seconds.get(name)
        seconds = f"{median(first):.3f}" if first else "-"
        lines.append(
            f"| {name} | {shuffles.get(name, 'none')} | {spread(rates, '{:,.0f}')} | {share} "
            f"| {times} | {seconds} |"
        )
    return "\n".join(lines)


def main() -> str:
    """Return all tables."""
    torch.set_num_threads(1)
    title = f"### Blocks: batches of {BATCH} through the block loader, no workers"
    return "\n\n".join([title, *map(warm, WARM), cold()])
