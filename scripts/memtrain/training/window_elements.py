"""How many elements the rows of every accumulation window have, known before they are read.

The rows of a window follow from the order of the epoch alone, and their lengths from the offsets of
the rows. Every process can therefore count the elements of all slots, its own and those of the
others, without asking them.
"""

from collections.abc import Callable

import numpy as np

from memtrain.loading.row_order import RowOrder

#: Returns the lengths of some rows: int64 (rows,) for int64 (rows,).
Lengths = Callable[[np.ndarray], np.ndarray]


class WindowElements:
    """Counts the elements of a field in every slot of every window.

    The counts of one filling of the shuffle buffer are kept, 8 bytes for each of its slots.

    Args:
        order: order of the rows.
        lengths: returns how many elements rows have, by their numbers.
    """

    def __init__(self, order: RowOrder, lengths: Lengths):
        self._order = order
        self._lengths = lengths
        self._filling: tuple[int, int] | None = None
        self._counts = np.empty((0, 0), np.int64)
        self._first_window = 0

    def of_slots(self, epoch: int, window: int) -> list[int]:
        """Return the elements in every slot of a window; 0 for an empty slot.

        Args:
            epoch: number of the epoch, from 0.
            window: number of the window in its epoch, from 0.
        """
        filling = (epoch, window // self._order.windows_per_buffer)
        if filling != self._filling:
            self._count(*filling)
            self._filling = filling
        return self._counts[window - self._first_window].tolist()

    def _count(self, epoch: int, number: int) -> None:
        """Count the elements of one filling of the buffer."""
        buffer = self._order.epoch(epoch).buffer(number)
        elements_before = np.zeros(int(buffer.sizes.sum()) + 1, np.int64)
        np.cumsum(self._lengths(buffer.rows()), out=elements_before[1:])
        ends = np.cumsum(buffer.sizes).reshape(buffer.sizes.shape)
        self._counts = elements_before[ends] - elements_before[ends - buffer.sizes]
        self._first_window = buffer.first_window
