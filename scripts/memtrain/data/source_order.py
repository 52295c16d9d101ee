"""Where the rows of a source lie in a data file that was written in another order.

The rows of the source that are kept are numbered from 0, in their order. Without a shuffle, these
numbers are the rows of the data file. With one, a row has a *place* between the two: the number
that it has when all rows are sorted into their buckets, before each bucket is permuted.
"""

import numpy as np

from memtrain.data.external_shuffle import BUCKET_BYTES, BucketDraw
from memtrain.data.record_file import RecordLayout


class SourceOrder:
    """The order in which rows of a source were written.

    Memory holds the permutation of one bucket at a time.

    Args:
        layout: layout of the data file.
        seed: seed of ``shuffle_once``; None for rows that were not shuffled.
        bucket_bytes: average size of a bucket.
    """

    def __init__(self, layout: RecordLayout, seed: int | None, bucket_bytes: int = BUCKET_BYTES):
        self._draw: BucketDraw | None = None
        if seed is not None:
            size_bytes = layout.rows * layout.row_bytes
            self._draw = BucketDraw(seed, layout.rows, -(-size_bytes // bucket_bytes))
            self._edges = self._draw.edges()
        self.start()

    def start(self) -> None:
        """Begin with the first row of the source."""
        self._read_rows = 0
        if self._draw is not None:
            self._next_places = self._edges[:-1].copy()

    def next_places(self, rows: int) -> np.ndarray:
        """Return the places of the next rows of the source, int64 (rows,).

        Rows beyond the last one that was written have places beyond the last.
        """
        start, end = self._read_rows, self._read_rows + rows
        self._read_rows = end
        if self._draw is None or end > self._draw.rows or not rows:
            return np.arange(start, end)
        buckets = self._draw.draw(start, end)
        order = buckets.argsort(kind="stable")
        counts = np.bincount(buckets, minlength=self._draw.buckets)
        firsts = np.repeat(self._next_places - (counts.cumsum() - counts), counts)
        places = np.empty(rows, np.int64)
        places[order] = np.arange(rows) + firsts
        self._next_places += counts
        return places

    def places_of(self, written: np.ndarray) -> np.ndarray:
        """Return the places of rows of the data file, integers of the same shape (rows,)."""
        return self._looked_up(written, lambda order: order)

    def rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the rows of the data file that have some places, integers (places,)."""
        return self._looked_up(places, np.argsort)

    def _looked_up(self, numbers, table_of):
        """Return what stands at some numbers in a table of every bucket that they lie in."""
        if self._draw is None:
            return numbers
        found = np.empty_like(numbers)
        buckets = np.searchsorted(self._edges, numbers, side="right") - 1
        for bucket in np.unique(buckets).tolist():
            start, end = self._edges[bucket : bucket + 2].tolist()
            order = np.arange(end - start)
            self._draw.permute(bucket, order)
            inside = buckets == bucket
            found[inside] = start + table_of(order)[numbers[inside] - start]
        return found
