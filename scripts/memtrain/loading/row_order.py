"""Which rows, in which order: a pure function of seed and epoch.

The rows of an epoch are cut into blocks of consecutive rows, and the blocks are permuted. Their
rows, one block after the other, are the positions 0 … N-1 of the epoch. An accumulation window has
L slots, one micro-batch of B rows each:

- Where all rows fit into one shuffle buffer, they are permuted as a whole, every order as likely as
  any other; slot l of window w takes the positions [(w·L + l)·B, (w·L + l + 1)·B).
- Else every slot draws from a stream of its own, a *lane*: lane l owns the positions
  [l·N/L, (l+1)·N/L), which are permuted within buffers; slot l of window w takes the positions
  [w·B, (w+1)·B) of its lane. A process that owns some slots reads their lanes and no more, and the
  lanes are equal to one row, so that every window but the last of an epoch is full.

A lane's buffer holds whole windows. So a window lies in one buffer of every lane, and any window is
found without those before it: by one search for its blocks and one permutation of its buffer.

Nothing here knows of workers, threads, processes or the memory of a machine. (That an epoch's order
should be a formula that ranks and workers only slice is the lesson of MosaicML streaming's
``get_partitions`` and of OLMo-core's data loader; both keep an array of all rows.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memtrain.config.training import ShuffleSettings
from memtrain.core.random_streams import stream
from memtrain.core.ranges import Range, count_rows

#: Blocks begin on pages of the disk where the size of a row allows it.
_PAGE_BYTES = 4096


#: Rows in order are read so many bytes at a time, and so many blocks ahead.
_BLOCK_BYTES_IN_ORDER = 1 << 20
_BLOCKS_AHEAD_IN_ORDER = 16


def rows_per_block(block_bytes: int, row_bytes: int) -> int:
    """Return how many rows make a block of about ``block_bytes``.

    Whole pages where a whole number of rows fills some, so that no page belongs to two blocks; else
    as many rows as fit, and one row at least.
    """
    rows = max(1, block_bytes // max(1, row_bytes))
    return rows - rows % rows_of_whole_pages(row_bytes, rows)


def rows_of_whole_pages(row_bytes: int, limit: int) -> int:
    """Return the fewest rows that fill pages to the end; 1 where that takes more than ``limit``."""
    rows = _PAGE_BYTES // int(np.gcd(_PAGE_BYTES, max(1, row_bytes)))
    return rows if rows <= limit else 1


def row_order(
    ranges: Sequence[Range],
    row_bytes: int,
    batch_size: int,
    accumulation_steps: int,
    shuffle: ShuffleSettings | None,
    seed: int,
) -> "RowOrder":
    """Return the order that settings mean for rows of a size.

    Args:
        ranges: the rows.
        row_bytes: of one row.
        batch_size: rows of a micro-batch.
        accumulation_steps: micro-batches of a window.
        shuffle: None keeps the rows in order.
        seed: of the recipe.
    """
    if shuffle is None:
        rows, blocks = rows_per_block(_BLOCK_BYTES_IN_ORDER, row_bytes), _BLOCKS_AHEAD_IN_ORDER
    else:
        rows = rows_per_block(shuffle.block_bytes, row_bytes)
        blocks = max(1, shuffle.buffer_bytes // (rows * max(1, row_bytes)))
    shuffled = shuffle is not None
    return RowOrder(ranges, batch_size, accumulation_steps, rows, blocks, shuffled, seed)


@dataclass(frozen=True)
class RowOrder:
    """The order of the rows in every epoch of a training.

    Attributes:
        ranges: the rows; none stands in two of them.
        batch_size: rows of a micro-batch.
        accumulation_steps: micro-batches of a window, its slots.
        rows_per_block: rows that are read in one go.
        blocks_per_buffer: blocks whose rows are mixed; a buffer holds one window at least.
        shuffled: False keeps the rows in the order of the ranges.
        seed: of the recipe.
    """

    ranges: Sequence[Range]
    batch_size: int
    accumulation_steps: int = 1
    rows_per_block: int = 1024
    blocks_per_buffer: int = 1024
    shuffled: bool = True
    seed: int = 0

    @cached_property
    def rows(self) -> int:
        """The rows of an epoch."""
        return count_rows(self.ranges)

    @property
    def rows_per_window(self) -> int:
        """The rows of every window but the last."""
        return self.batch_size * self.accumulation_steps

    @property
    def windows(self) -> int:
        """The windows of an epoch, a short last one among them."""
        return -(-self.rows // self.rows_per_window)

    @property
    def full_windows(self) -> int:
        """The windows of an epoch that have all their rows."""
        return self.rows // self.rows_per_window

    @cached_property
    def in_one_buffer(self) -> bool:
        """Whether the rows are few enough to be permuted as a whole."""
        return self.shuffled and self.rows <= self.rows_per_block * self.blocks_per_buffer

    @cached_property
    def in_lanes(self) -> bool:
        """Whether every slot draws from a stream of blocks of its own."""
        return self.shuffled and not self.in_one_buffer

    @property
    def windows_per_buffer(self) -> int:
        """The windows that one filling of the buffer (in lanes: of every lane's) feeds."""
        if self.in_one_buffer:
            return max(1, self.windows)
        return max(1, self.rows_per_block * self.blocks_per_buffer // self.rows_per_window)

    @property
    def rows_per_buffer(self) -> int:
        """The most rows that are in the buffers of all lanes at a time."""
        return min(self.rows, self.windows_per_buffer * self.rows_per_window)

    @property
    def buffers(self) -> int:
        """How many times an epoch fills the buffer."""
        return -(-self.windows // self.windows_per_buffer)

    @property
    def batch_variance(self) -> float:
        """The variance of a batch's mean over that of a uniform shuffle, were the rows sorted.

        With B rows in the window and W blocks in the buffer it is 1 + (B-1)/W: rows of one block
        are alike, and each of the other B-1 rows of a batch shares its block with probability 1/W.
        """
        if self.in_one_buffer:
            return 1.0
        blocks = self.rows_per_buffer / self.rows_per_block if self.shuffled else 1.0
        rows = min(self.rows_per_window, self.rows)
        return 1.0 + (rows - 1) / max(1.0, blocks)

    def lane_start(self, lane: int) -> int:
        """Return the first position of a lane; that of the lane after the last is the end."""
        return lane * self.rows // self.accumulation_steps

    def micro_batch_sizes(self, first: int, last: int, slots: range | None = None) -> np.ndarray:
        """Return the rows of micro-batches.

        Args:
            first: a window.
            last: the window after the last one asked for.
            slots: a part of the window; all unless given.

        Returns:
            int64 (last - first, slots); 0 for an empty slot, which only the last window has.
        """
        slot = np.asarray(self._all_slots if slots is None else slots)
        window = np.arange(first, last)[:, np.newaxis]
        if self.in_lanes:
            lane_rows = self.lane_start(slot + 1) - self.lane_start(slot)
            left = lane_rows - window * self.batch_size
        else:
            left = self.rows - (window * self.accumulation_steps + slot) * self.batch_size
        return np.clip(left, 0, self.batch_size)

    def micro_batches(self, slots: range | None = None, windows: int | None = None) -> int:
        """Return how many micro-batches the first ``windows`` windows have (all unless given)."""
        windows = self.windows if windows is None else windows
        slots = self._all_slots if slots is None else slots
        full = min(windows, self.full_windows)
        rest = self.micro_batch_sizes(full, windows, slots)
        return full * len(slots) + int(np.count_nonzero(rest))

    def epoch(self, epoch: int) -> "EpochOrder":
        """Return the order of epoch 0, 1, ..."""
        return EpochOrder(self, epoch)

    @property
    def _all_slots(self) -> range:
        return range(self.accumulation_steps)


@dataclass(frozen=True)
class BufferOrder:
    """What one filling of the buffer holds, and in which order it is used up.

    Attributes:
        starts, ends: int64 (runs,), the runs of rows ``[start, end)`` to read; each lies within
            one block.
        order: int64 (rows,), the rows as they are used, micro-batch after micro-batch: number i of
            all rows of the runs, one run after the other. None where that is their order already.
        sizes: int64 (windows, slots), the rows of every micro-batch.
        first_window: the window that ``sizes`` begins with.
    """

    starts: np.ndarray
    ends: np.ndarray
    order: np.ndarray | None
    sizes: np.ndarray
    first_window: int

    def rows(self) -> np.ndarray:
        """Return the rows as they are used, int64 (rows,)."""
        return self.places(self.starts)

    def places(self, first_places: np.ndarray) -> np.ndarray:
        """Return where the rows lie, in the order in which they are used.

        Args:
            first_places: int64 (runs,), where the first row of every run lies.

        Returns:
            int64 (rows,)
        """
        lengths = self.ends - self.starts
        counted_from = first_places - np.concatenate([[0], np.cumsum(lengths[:-1])])
        places = np.repeat(counted_from, lengths)
        places += np.arange(len(places))
        return places if self.order is None else places[self.order]


class EpochOrder:
    """The order of one epoch; its memory grows with the blocks, not with the rows."""

    def __init__(self, order: RowOrder, epoch: int):
        self._order, self._epoch = order, epoch
        self._starts, self._firsts = self._permuted_blocks()

    def window_rows(self, window: int) -> list[np.ndarray]:
        """Return the rows of a window: int64 (rows,) for every slot, none for an empty one."""
        buffer = self.buffer(window // self._order.windows_per_buffer)
        ends = np.cumsum(buffer.sizes).reshape(buffer.sizes.shape)[window - buffer.first_window]
        sizes = buffer.sizes[window - buffer.first_window]
        rows = buffer.rows()
        return [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    def buffer(self, number: int, slots: range | None = None) -> BufferOrder:
        """Return filling ``number`` of the buffer, as the owner of some slots sees it.

        Args:
            number: 0 to ``RowOrder.buffers - 1``.
            slots: consecutive; all of the window unless given.
        """
        order = self._order
        slots = order._all_slots if slots is None else slots
        first = number * order.windows_per_buffer
        last = min(first + order.windows_per_buffer, order.windows)
        sizes = order.micro_batch_sizes(first, last, slots)
        if order.in_lanes:
            starts, ends, used = self._of_lanes(number, slots, sizes)
        elif order.shuffled:
            starts, ends, used = self._of_all_rows(slots, sizes)
        else:
            starts, ends, used = self._in_order(first, slots, sizes)
        return BufferOrder(starts, ends, used, sizes, first)

    def _of_lanes(
        self, number: int, slots: range, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order, runs, used, before = self._order, [], [], 0
        for slot, rows in zip(slots, sizes.sum(axis=0).tolist(), strict=True):
            start = order.lane_start(slot) + number * order.windows_per_buffer * order.batch_size
            runs.append(self._runs(start, start + rows))
            # One number for the buffer of a lane: neither may depend on how many there are.
            part = (slot << 32) + number
            mixed = stream(order.seed, "rows of a lane", self._epoch, part).permutation(rows)
            mixed += before
            used.append(mixed)
            before += rows
        starts, ends = (np.concatenate(part) for part in zip(*runs, strict=True))
        return starts, ends, _window_by_window(used, sizes)

    def _of_all_rows(
        self, slots: range, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = self._order
        used = np.arange(order.rows)
        stream(order.seed, "row order", self._epoch).shuffle(used)
        if len(slots) < order.accumulation_steps:
            used = used[_places_of_slots(order, 0, slots, sizes)]
        return *self._runs(0, order.rows), used

    def _in_order(
        self, first: int, slots: range, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, None]:
        order = self._order
        if len(slots) == order.accumulation_steps:
            start = first * order.rows_per_window
            return *self._runs(start, start + int(sizes.sum())), None
        runs = []
        for window, rows in enumerate(sizes.sum(axis=1).tolist(), first):
            start = window * order.rows_per_window + slots.start * order.batch_size
            if rows:
                runs.append(self._runs(start, start + rows))
        none = [np.empty(0, np.int64)] * 2
        starts, ends = (np.concatenate(part) for part in zip(*runs or [none], strict=True))
        return starts, ends, None

    def _permuted_blocks(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first row of every block, and its first position; (blocks,), (blocks + 1,)."""
        order = self._order
        starts, lengths = _blocks(order.ranges, order.rows_per_block)
        if order.in_lanes:
            permuted = stream(order.seed, "block order", self._epoch).permutation(len(starts))
            starts, lengths = starts[permuted], lengths[permuted]
        firsts = np.zeros(len(starts) + 1, np.int64)
        np.cumsum(lengths, out=firsts[1:])
        return starts, firsts

    def _runs(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the runs of rows at the positions ``[start, end)``."""
        if start >= end:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        first = np.searchsorted(self._firsts, start, side="right") - 1
        last = np.searchsorted(self._firsts, end, side="left")
        starts = self._starts[first:last].copy()
        ends = starts + np.diff(self._firsts[first : last + 1])
        ends[-1] -= self._firsts[last] - end
        starts[0] += start - self._firsts[first]
        return starts, ends


def _blocks(ranges: Sequence[Range], rows_per_block: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut ranges at the borders of blocks; return first rows and lengths, (blocks,) each.

    Borders are multiples of ``rows_per_block`` in the file, whatever the ranges.
    """
    starts, lengths = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for piece in ranges:
        first = piece.start // rows_per_block * rows_per_block
        edges = np.arange(first, piece.end + rows_per_block, rows_per_block)
        edges = edges[: -(-(piece.end - first) // rows_per_block) + 1]
        edges[0], edges[-1] = piece.start, piece.end
        starts.append(edges[:-1])
        lengths.append(np.diff(edges).astype(np.int64 if rows_per_block >> 31 else np.int32))
    return np.concatenate(starts), np.concatenate(lengths)


def _window_by_window(lanes: list[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """Weave the rows of lanes: all slots of the first window, then all of the second, ...

    Args:
        lanes: int64 (rows,) for every slot.
        sizes: int64 (windows, slots).
    """
    batch_size = int(sizes.max(initial=0))
    full = int((sizes == batch_size).all(axis=1).sum()) if batch_size else 0
    whole = [lane[: full * batch_size].reshape(full, 1, batch_size) for lane in lanes]
    woven = [np.concatenate(whole, axis=1).reshape(-1)]
    for window in range(full, len(sizes)):
        before = sizes[:window].sum(axis=0)
        woven += [
            lane[start : start + rows]
            for lane, start, rows in zip(lanes, before, sizes[window], strict=True)
        ]
    return np.concatenate(woven)


def _places_of_slots(order: RowOrder, first: int, slots: range, sizes: np.ndarray) -> np.ndarray:
    """Return the positions that some slots take, window after window, where there is one lane."""
    windows = np.arange(first, first + len(sizes))
    starts = windows * order.rows_per_window + slots.start * order.batch_size
    lengths = sizes.sum(axis=1)
    counted_from = starts - np.concatenate([[0], np.cumsum(lengths[:-1])])
    return np.repeat(counted_from, lengths) + np.arange(int(lengths.sum()))
