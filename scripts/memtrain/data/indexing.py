"""Reads a data file once and summarizes its shards."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.manifest import Manifest, shard_grid
from memtrain.data.shard_parts import SHARDS_PER_PART
from memtrain.data.shard_summaries import PieceSummary, summarize_rows

_AUTO_SHARD_BYTES = 16 << 20

#: Rows whose mean size stands for that of all, where rows vary in length.
_ROWS_OF_A_SAMPLE = 1 << 16


def index_shards(
    data: str | os.PathLike,
    rows_per_shard: int | None = None,
    *,
    threads: int = 2,
    on_rows: Callable[[int], None] = lambda rows: None,
    algorithm: str = "sha256",
) -> Manifest:
    """Read a data file once and return its manifest, with all shards in memory.

    Args:
        data: a record file, any ``.npy`` file of rows, or a description of rows in files.
        rows_per_shard: number of rows of a shard; None for ``auto_rows_per_shard``.
        threads: number of shards that are read at the same time; the result is always the same.
        on_rows: function that is called with the number of rows of each shard, in order.
        algorithm: algorithm of the digests, sha256 or blake3.

    Raises:
        UserError: where the file cannot be read or holds no rows.
    """
    layout = read_nonempty_layout(data)
    rows_per_shard = rows_per_shard or auto_rows_per_shard(layout)
    shards = summarize_shards(
        data,
        layout,
        rows_per_shard=rows_per_shard,
        threads=threads,
        on_rows=on_rows,
        algorithm=algorithm,
    )
    return Manifest(layout, rows_per_shard, algorithm, list(shards))


def auto_rows_per_shard(layout: RowLayout) -> int:
    """Return the number of rows, a power of two, that makes a shard of about 16 MiB.

    The number depends on the size of a row alone, so that a file that grows keeps its shards. Where
    rows vary in length, the first ones count.
    """
    row_bytes = layout.row_bytes
    if isinstance(layout, FilesLayout) and layout.ragged:
        first = min(layout.rows, _ROWS_OF_A_SAMPLE)
        row_bytes = layout.bytes_of([Range(0, first)]) // first
    rows = max(1, _AUTO_SHARD_BYTES // max(1, row_bytes))
    return 1 << (rows.bit_length() - 1)


def read_nonempty_layout(data: str | os.PathLike) -> RowLayout:
    """Return the layout of a file that holds at least one row.

    Raises:
        UserError: where the file cannot be read or holds no rows.
    """
    layout = read_layout(data)
    if layout.rows == 0:
        raise UserError(f"{data}: it holds no rows. Write at least one row to it.")
    return layout


def summarize_shards(
    data: str | os.PathLike,
    layout: RowLayout,
    *,
    rows_per_shard: int,
    threads: int,
    on_rows: Callable[[int], None],
    algorithm: str,
    rows: Range | None = None,
) -> Iterator[PieceSummary]:
    """Yield the summaries of a file's shards in order.

    Memory holds ``SHARDS_PER_PART`` summaries at most.

    Args:
        data: a record file, any ``.npy`` file of rows, or a description of rows in files.
        layout: layout of the file.
        rows_per_shard: number of rows of a shard.
        threads: number of shards that are read at the same time.
        on_rows: function that is called with the number of rows of each shard, in order.
        algorithm: algorithm of the digests, sha256 or blake3.
        rows: rows of whole shards, of which summaries are wanted; None for all rows.
    """
    wanted = rows or Range(0, layout.rows)
    ranges = (piece for _, piece in shard_grid(layout, rows_per_shard).cut(wanted))
    with ThreadPoolExecutor(threads) as pool:
        while part := list(islice(ranges, SHARDS_PER_PART)):
            for shard in pool.map(lambda rows: summarize_rows(data, layout, rows, algorithm), part):
                on_rows(shard.rows.rows)
                yield shard
