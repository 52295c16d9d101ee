"""Rows through the block loader, shuffled: in the page cache, and cold."""

import time
from collections.abc import Callable, Iterable
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from benchmarks.ceilings import memory_copy, random_block_reads, random_gather
from benchmarks.loading import RowByRowDataset
from benchmarks.measuring import Comparison, compare, spread
from benchmarks.record_files import drop_from_page_cache, numbered_rows, read_ahead_kib
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

BATCH = 1024
#: (columns, rows): half a GiB or more each, above the shuffle buffer of 256 MiB.
WARM = [(20, 6_500_000), (128, 2_000_000), (1024, 250_000)]
COLD_ROWS, COLD_COLUMNS = 4_000_000, 128
ROW_BY_ROW_ROWS = 20_000
COLD_ROW_BY_ROW_ROWS = 50

TAKE = "np.take, random rows (ceiling)"
BLOCKS = "random 256 KiB reads (ceiling)"


class Epochs:
    """Runs through loaders, and keeps the times to the first batch."""

    def __init__(self) -> None:
        self.first: dict[str, list[float]] = {}
        self._epoch = 0

    def of(self, name: str, load: Callable[[int], Iterable], whole: bool = False) -> Callable:
        """Return a program that runs through one epoch.

        Args:
            name: of the program.
            load: returns the loader of an epoch.
            whole: counts the time to the first batch as well.
        """

        def program() -> tuple[int, float]:
            self._epoch += 1
            start, rows, later = time.perf_counter(), 0, 0
            for batch in load(self._epoch):
                if not rows:
                    first = time.perf_counter()
                    later = -len(batch)
                rows += len(batch)
            end = time.perf_counter()
            self.first.setdefault(name, []).append(first - start)
            return (rows, end - start) if whole else (rows + later, end - first)

        return program


def block_loader(path: str, **arguments: object) -> Callable[[int], BlockLoader]:
    """Return what makes the loader of an epoch."""
    dataset = MemmapDataset(path)
    return lambda epoch: BlockLoader(dataset, BATCH, seed=epoch, **arguments)


def row_by_row(path: str, columns: int, rows: int) -> Callable[[int], DataLoader]:
    """Return the same of a plain dataset, for some random rows: all would take too long."""
    layout = MemmapDataset(path).layout
    dataset = RowByRowDataset(path, "float32", (layout.rows, columns))
    dataset.data = np.memmap(path, "float32", "r", layout.offset, (layout.rows, columns))

    def load(epoch: int) -> DataLoader:
        some = np.random.default_rng(epoch).integers(0, layout.rows, rows).tolist()
        return DataLoader(Subset(dataset, some), batch_size=min(BATCH, rows))

    return load


def warm(columns: int, rows: int) -> str:
    """Return the table of one width, with all rows in the page cache."""
    with numbered_rows(rows, columns) as path:
        dataset, epochs = MemmapDataset(path), Epochs()
        by_row, by_batch, by_block = "one row at a time", "MemmapDataset", "BlockLoader"
        in_order = "BlockLoader, in order"
        comparison = compare(
            {
                by_row: epochs.of(by_row, row_by_row(path, columns, ROW_BY_ROW_ROWS)),
                by_batch: epochs.of(
                    by_batch, lambda epoch: DataLoader(dataset, BATCH, shuffle=True)
                ),
                by_block: epochs.of(by_block, block_loader(path)),
                in_order: epochs.of(
                    in_order, lambda epoch: BlockLoader(dataset, BATCH, shuffle=False)
                ),
                TAKE: random_gather(path, BATCH),
                "memcpy (ceiling)": memory_copy(path),
            },
            "rows/s",
            runs=5,
        )
    shuffles = {by_row: "global", by_batch: "global", by_block: "blocks", TAKE: "global"}
    size = rows * columns * 4 / 2**20
    title = f"#### Warm: {rows:,} rows of {columns} float32 ({size:,.0f} MiB)"
    return f"{title}\n\n{table(comparison, shuffles, TAKE, by_row, epochs.first)}"


def cold() -> str:
    """Return the table of rows that have to come from the disk."""
    with numbered_rows(COLD_ROWS, COLD_COLUMNS) as path:
        epochs = Epochs()
        some = row_by_row(path, COLD_COLUMNS, COLD_ROW_BY_ROW_ROWS)
        names = {reader: f"BlockLoader, {reader}" for reader in ("mmap", "pread", "direct")}
        comparison = compare(
            {
                "one row at a time": epochs.of("one row at a time", some, whole=True),
                **{
                    name: epochs.of(name, block_loader(path, reader=reader), whole=True)
                    for reader, name in names.items()
                },
                BLOCKS: random_block_reads(path, 256 << 10),
                "random 256 KiB direct reads (ceiling)": random_block_reads(path, 256 << 10, True),
                "random 1 MiB reads (ceiling)": random_block_reads(path, 1 << 20),
            },
            "rows/s",
            runs=5,
            before=lambda: drop_from_page_cache(path),
        )
        ahead = read_ahead_kib(path)
    shuffles = dict.fromkeys(names.values(), "blocks") | {"one row at a time": "global"}
    size = COLD_ROWS * COLD_COLUMNS * 4 / 2**20
    title = (
        f"#### Cold: {COLD_ROWS:,} rows of {COLD_COLUMNS} float32 ({size:,.0f} MiB), dropped from "
        f"the page cache before every run; the disk reads {ahead} KiB ahead"
    )
    body = table(comparison, shuffles, BLOCKS, "one row at a time", epochs.first)
    return f"{title}\n\n{body}"


def table(
    comparison: Comparison,
    shuffles: dict[str, str],
    ceiling: str,
    baseline: str,
    first: dict[str, list[float]],
) -> str:
    """Return a comparison as Markdown, beside a ceiling and a baseline."""
    lines = [
        f"| | shuffle | rows/s, median (range) | share of {ceiling.removesuffix(' (ceiling)')} "
        f"| times {baseline} | first batch, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, rates in comparison.rates.items():
        share = spread(comparison.ratio(name, ceiling), "{:.2f}")
        times = f"{median(comparison.ratio(name, baseline)):,.1f}"
        seconds = f"{median(first[name]):.3f}" if name in first else "-"
        lines.append(
            f"| {name} | {shuffles.get(name, 'none')} | {spread(rates, '{:,.0f}')} | {share} "
            f"| {times} | {seconds} |"
        )
    return "\n".join(lines)


def main() -> str:
    """Return all tables."""
    torch.set_num_threads(1)
    title = f"### Blocks: batches of {BATCH} through the block loader, no workers"
    return "\n\n".join([title, *(warm(*size) for size in WARM), cold()])
