"""The schedule of an iteration: fillings of the buffer, and the batches cut from each of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memtrain.loading.row_order import BufferOrder, RowOrder


@dataclass
class Position:
    """The place of a loader in its epochs.

    Attributes:
        epoch: number of the epoch, from 0.
        batches: number of batches of this epoch that were handed out.
        end: number of the epoch before which the iteration ends.
    """

    epoch: int
    batches: int
    end: int


@dataclass(frozen=True)
class Filling:
    """One filling of the shuffle buffer.

    Attributes:
        epoch: the epoch that its rows are used in.
        number: number of the filling within the epoch, from 0.
        skipped_batches: number of its first batches that were handed out before the iteration
            began.
    """

    epoch: int
    number: int
    skipped_batches: int


@dataclass(slots=True)  # not frozen, since one is made for every batch
class Portion:
    """Batches of a buffer that are handed out together: those of a window, or a single one.

    Attributes:
        batches: number of batches.
        start, end: the rows ``[start, end)`` of the buffer's order that they consist of.
    """

    batches: int
    start: int
    end: int


@dataclass(frozen=True)
class Schedule:
    """The part of every epoch that one process goes through.

    Attributes:
        order: the order of the rows.
        slots: the slots of every window that this process takes.
        windows: number of windows of every epoch that are used.
    """

    order: RowOrder
    slots: range
    windows: int

    @property
    def batches_per_epoch(self) -> int:
        """The batches of an epoch."""
        return self.batches_before(self.windows)

    def batches_before(self, window: int) -> int:
        """Return how many batches of an epoch come before a window."""
        return self.order.micro_batches(self.slots, window)

    def fillings(self, start: Position) -> Iterator[Filling]:
        """Yield the fillings from a position to the end of its iteration."""
        windows_per_buffer = self.order.windows_per_buffer
        for epoch in range(start.epoch, start.end):
            handed_out = start.batches if epoch == start.epoch else 0
            for number in range(-(-self.windows // windows_per_buffer)):
                first_window = number * windows_per_buffer
                end_window = min(self.windows, first_window + windows_per_buffer)
                if self.batches_before(end_window) > handed_out:
                    skipped = max(0, handed_out - self.batches_before(first_window))
                    yield Filling(epoch, number, skipped)

    def portions(
        self, buffer: BufferOrder, skipped_batches: int, by_window: bool
    ) -> Iterator[Portion]:
        """Yield what is handed out of a buffer, one portion after the other.

        Args:
            buffer: the order of the buffer.
            skipped_batches: number of its first batches that are left out.
            by_window: whether the batches of a window are handed out together.
        """
        sizes = buffer.sizes[: self.windows - buffer.first_window]  # (windows, slots)
        batch_ends = [0, *np.cumsum(sizes[sizes > 0]).tolist()]
        window_ends = np.cumsum(np.count_nonzero(sizes, axis=1)).tolist()
        ends = window_ends if by_window else range(1, len(batch_ends))
        first = skipped_batches
        for end in ends:
            # A window whose batches are all skipped yields nothing; of a window whose first batches
            # are skipped, the rest is yielded.
            if end > first:
                yield Portion(end - first, batch_ends[first], batch_ends[end])
                first = end
