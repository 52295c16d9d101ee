"""Time to the first batch at the start of an epoch and at 99 % of it, and to find its rows."""

import time
from collections.abc import Callable
from statistics import median

from benchmarks.measuring import spread
from benchmarks.record_files import drop_from_page_cache, numbered_rows
from memtrain.core.ranges import Range
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.row_order import RowOrder

ROWS = 3_000_000
COLUMNS = 128
BATCH = 1024
RUNS = 7


def first_batch_seconds(dataset: MemmapDataset, share: float) -> float:
    """Return the seconds to make a loader and get its first batch, at a share of the epoch."""
    start = time.perf_counter()
    loader = BlockLoader(dataset, BATCH, seed=3)
    state = loader.state_dict()
    loader.load_state_dict(state | {"batches": int(share * len(loader))})
    next(iter(loader))
    return time.perf_counter() - start


def order_seconds(window: int) -> float:
    """Return the seconds to find the rows of one window of an epoch of a billion rows."""
    start = time.perf_counter()
    order = RowOrder(
        [Range(0, 10**9)], BATCH, accumulation_steps=4, rows_per_block=512, blocks_per_buffer=1024
    )
    order.epoch(7).window_rows(window)
    return time.perf_counter() - start


def main() -> str:
    """Return the table."""
    with numbered_rows(ROWS, COLUMNS) as path:
        dataset = MemmapDataset(path)
        lines = [
            f"### Resuming: {ROWS:,} rows of {COLUMNS} float32; and the order of a billion rows",
            "",
            "| | from the start, s | at 99 % of the epoch, s | ratio |",
            "|---|---|---|---|",
            _line("in the page cache", lambda share: first_batch_seconds(dataset, share)),
            _line(
                "cold",
                lambda share: first_batch_seconds(dataset, share),
                lambda: drop_from_page_cache(path),
            ),
            _line("order of 10^9 rows", lambda share: order_seconds(int(share * 244_140))),
        ]
    return "\n".join(lines)


def _line(
    name: str, seconds: Callable[[float], float], before: Callable[[], None] = lambda: None
) -> str:
    """Return the line of one function from a share of the epoch to seconds.

    Args:
        name: name in the table.
        seconds: function to measure.
        before: called before each call of the function.
    """
    times: dict[float, list[float]] = {0.0: [], 0.99: []}
    for _ in range(RUNS + 1):
        for share, share_times in times.items():
            before()
            share_times.append(seconds(share))
    # The first run only warms up.
    start, late = (share_times[1:] for share_times in times.values())
    ratio = median(b / a for a, b in zip(start, late, strict=True))
    return f"| {name} | {spread(start, '{:.3f}')} | {spread(late, '{:.3f}')} | {ratio:.2f} |"
