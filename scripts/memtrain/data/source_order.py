"""Where the rows of a source lie in a data file that was written in another order.

The rows of the source that are kept are numbered from 0, in their order. Where they were written in
this order, these numbers are the rows of the data file. Elsewhere, a row has a *place* between the
two, as ``row_places`` says.
"""

import numpy as np

from memtrain.data.row_places import RowPlaces, SourcePlaces


class SourceOrder:
    """The order in which rows of a source were written.

    Memory holds the permutation of one bucket at a time.

    Args:
        places: the places of the rows.
    """

    def __init__(self, places: RowPlaces):
        self._places = places

    def start(self) -> None:
        """Begin with the first row of the source."""
        self._places.start()

    def next_places(self, rows: int, codes: np.ndarray | None = None) -> np.ndarray:
        """Return the places of the next rows of the source, int64 (rows,).

        Args:
            rows: number of these rows.
            codes: codes of their values in the column of the order, uint64 (rows,); None for an
                order without a column.

        Raises:
            ChangedValuesError: where the values are not those that the order was made for.
        """
        return self._places.next_places(rows, codes)

    def places_of(self, written: np.ndarray) -> np.ndarray:
        """Return the places of rows of the data file, integers of the same shape (rows,)."""
        return self._looked_up(written, lambda order: order)

    def rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the rows of the data file that have some places, integers (places,)."""
        return self._looked_up(places, np.argsort)

    def _looked_up(self, numbers, table_of):
        """Return what stands at some numbers in a table of every bucket that they lie in."""
        if isinstance(self._places, SourcePlaces):
            return numbers
        found = np.empty_like(numbers)
        edges = self._places.edges
        buckets = np.searchsorted(edges, numbers, side="right") - 1
        for bucket in np.unique(buckets).tolist():
            start, end = edges[bucket : bucket + 2].tolist()
            order = np.arange(end - start)
            self._places.permute(bucket, order)
            inside = buckets == bucket
            found[inside] = start + table_of(order)[numbers[inside] - start]
        return found
