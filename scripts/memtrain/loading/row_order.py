"""The order of the rows in every epoch: a pure function of seed and epoch.

The rows of an epoch are cut into *blocks* of consecutive rows, the blocks are permuted, and their
rows, laid one block after the other, take the *positions* 0 … N-1. An accumulation window has L
slots, and each slot takes one micro-batch of B rows. Which positions does slot l of window w take?

**All rows fit into one shuffle buffer.** The N rows are permuted as a whole, all orders equally
likely, and slot l of window w takes the positions [(w·L + l)·B, (w·L + l + 1)·B).

**The rows do not fit into one buffer.** Every slot draws from a stream of its own, its *lane*. Lane
l owns the positions [⌊l·N/L⌋, ⌊(l+1)·N/L⌋). It is cut into buffers of V·B rows, where V is the
number of whole windows that fit into the shuffle buffer, and the rows of a lane's buffer are
permuted among themselves. Slot l of window w takes the positions [w·B, (w+1)·B) of its lane.

From this follow the laws that the tests check:

1. *Every row comes exactly once an epoch.* Blocks partition the rows, lanes partition the
   positions, buffers partition a lane, and permutations are bijections.
2. *Every window but the last is full.* Let N = q·L·B + r with 0 ≤ r < L·B. Lanes have ⌊N/L⌋ or
   ⌈N/L⌉ rows. The shorter ones have ⌊N/L⌋ ≥ q·B rows, enough for q windows; the longer ones have
   ⌈N/L⌉ ≤ q·B + B rows, so that one more window takes all that is left.
3. *Any number of processes sees the same order.* What a slot takes depends on no other slot. A
   process that owns some slots reads their lanes and no more; only a block at the border of two
   lanes is read by both their owners.
4. *Any window is found directly.* A lane's buffer holds whole windows, so a window lies in one
   buffer of every lane. Once the blocks of the epoch are permuted, two binary searches and one
   permutation for each lane find it, wherever it is. Memory grows with the blocks, not the rows.
5. *Rows that lie sorted are mixed across the W blocks of a buffer*; ``RowOrder.batch_variance``
   says how well.

This module knows nothing of workers, threads, processes or the memory of a machine. It follows
MosaicML Streaming's ``get_partitions`` and OLMo-core's data loader, which define the order of an
epoch once and let ranks and workers take slices of it; but both keep an array of all rows, where
this order is a formula. Permuting blocks, and then the rows of a buffer of blocks, is how scDataset
samples (arXiv:2506.01883). Random numbers come from counter-based streams
(``core.random_streams``), so that the permutation of a buffer costs the same wherever it lies in
the epoch.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np

from memtrain.config.training import ShuffleSettings
from memtrain.core.random_streams import random_stream
from memtrain.core.ranges import Range, count_rows
from memtrain.loading.blocks import Blocks, Runs, rows_per_block

#: Sizes for rows that are not shuffled: bytes of a block, and number of blocks in a buffer.
_UNSHUFFLED_BLOCK_BYTES = 1 << 20
_UNSHUFFLED_BLOCKS = 16


def row_order(
    ranges: Sequence[Range],
    *,
    row_bytes: int,
    batch_size: int,
    accumulation_steps: int,
    shuffle: ShuffleSettings | None,
    seed: int,
) -> "RowOrder":
    """Return the order for rows of a given size, from settings in bytes.

    Args:
        ranges: the rows of an epoch.
        row_bytes: the size of one row in the file.
        batch_size: number of rows of a micro-batch.
        accumulation_steps: number of micro-batches of a window.
        shuffle: the sizes of blocks and buffer; None keeps the rows in order.
        seed: the seed of the recipe.
    """
    if shuffle is None:
        block_rows = rows_per_block(_UNSHUFFLED_BLOCK_BYTES, row_bytes)
        blocks = _UNSHUFFLED_BLOCKS
    else:
        block_rows = rows_per_block(shuffle.block_bytes, row_bytes)
        blocks = max(1, shuffle.buffer_bytes // (block_rows * max(1, row_bytes)))
    return RowOrder(
        ranges,
        batch_size,
        accumulation_steps=accumulation_steps,
        rows_per_block=block_rows,
        blocks_per_buffer=blocks,
        shuffled=shuffle is not None,
        seed=seed,
    )


@dataclass(frozen=True)
class RowOrder:
    """The order of the rows in every epoch of a training.

    Attributes:
        ranges: the rows of an epoch, N in all; no row is in two ranges.
        batch_size: number of rows of a micro-batch, B.
        accumulation_steps: number of micro-batches, and so of slots, of a window, L.
        rows_per_block: number of consecutive rows that are read in one go.
        blocks_per_buffer: number of blocks whose rows are mixed; the buffer grows to one window if
            these blocks are fewer rows than that.
        shuffled: whether rows are shuffled; False keeps them in the order of the ranges.
        seed: the seed of the recipe.
    """

    ranges: Sequence[Range]
    batch_size: int
    _: KW_ONLY
    accumulation_steps: int = 1
    rows_per_block: int = 1024
    blocks_per_buffer: int = 1024
    shuffled: bool = True
    seed: int = 0

    @cached_property
    def rows(self) -> int:
        """The rows of an epoch, N."""
        return count_rows(self.ranges)

    @property
    def slots(self) -> range:
        """All slots of a window."""
        return range(self.accumulation_steps)

    @property
    def rows_per_window(self) -> int:
        """The rows of every window but the last, L·B."""
        return self.batch_size * self.accumulation_steps

    @property
    def windows(self) -> int:
        """The windows of an epoch, including a short last one."""
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
        """Whether every slot draws from a lane of its own."""
        return self.shuffled and not self.in_one_buffer

    @property
    def windows_per_buffer(self) -> int:
        """The windows that one filling of the buffer (or of every lane's buffer) serves, V."""
        if self.in_one_buffer:
            return max(1, self.windows)
        return max(1, self.rows_per_block * self.blocks_per_buffer // self.rows_per_window)

    @property
    def rows_per_buffer(self) -> int:
        """The most rows that the buffers of all lanes hold at a time."""
        return min(self.rows, self.windows_per_buffer * self.rows_per_window)

    @property
    def buffers(self) -> int:
        """How many times an epoch fills the buffer."""
        return -(-self.windows // self.windows_per_buffer)

    @property
    def batch_variance(self) -> float:
        """The variance of a window's mean, relative to a uniform shuffle, if the rows lie sorted.

        It is 1 + (n-1)/W for n rows in a window and W blocks in the buffer. This is the design
        effect of cluster samples, 1 + (n-1)·ρ (Kish, "Survey Sampling", 1965): rows of one block
        are alike, and two rows of a window are of one block with probability ρ = 1/W.
        """
        if self.in_one_buffer:
            return 1.0
        blocks = self.rows_per_buffer / self.rows_per_block if self.shuffled else 1.0
        rows = min(self.rows_per_window, self.rows)
        return 1.0 + (rows - 1) / max(1.0, blocks)

    def describe(self) -> str:
        """Return how rows are mixed, in words for a log."""
        if not self.shuffled:
            return "that of the file"
        if self.in_one_buffer:
            return "all rows permuted as a whole"
        return (
            f"blocks of {self.rows_per_block:,} rows permuted, and the rows of "
            f"{self.blocks_per_buffer:,} blocks at a time"
        )

    def lane_start(self, lane: int) -> int:
        """Return the first position of a lane; the lane after the last begins at the end, N."""
        return lane * self.rows // self.accumulation_steps

    def micro_batch_sizes(self, first: int, last: int, slots: range | None = None) -> np.ndarray:
        """Return the rows of the micro-batches of some windows.

        Args:
            first: the first window.
            last: the window after the last.
            slots: consecutive slots of the windows; all if not given.

        Returns:
            int64 (last - first, slots); 0 for an empty slot, which only the last window has.
        """
        slots = self.slots if slots is None else slots
        windows = np.arange(first, last)[:, np.newaxis]
        if self.in_lanes:
            bounds = [self.lane_start(lane) for lane in range(slots.start, slots.stop + 1)]
            rows_left = np.diff(np.array(bounds)) - windows * self.batch_size
        else:
            micro_batches_before = windows * self.accumulation_steps + np.asarray(slots)
            rows_left = self.rows - micro_batches_before * self.batch_size
        return np.clip(rows_left, 0, self.batch_size)

    def micro_batches(self, slots: range | None = None, windows: int | None = None) -> int:
        """Return how many micro-batches the first windows of an epoch have.

        Args:
            slots: consecutive slots of the windows; all if not given.
            windows: the number of windows; all if not given.
        """
        windows = self.windows if windows is None else windows
        slots = self.slots if slots is None else slots
        full = min(windows, self.full_windows)
        sizes_of_rest = self.micro_batch_sizes(full, windows, slots)
        return full * len(slots) + int(np.count_nonzero(sizes_of_rest))

    def epoch(self, epoch: int) -> "EpochOrder":
        """Return the order of epoch 0, 1, ..."""
        return EpochOrder(self, epoch)


@dataclass(frozen=True, eq=False)
class BufferOrder:
    """What one filling of the buffer holds, and in which order its rows are used.

    Attributes:
        runs: the runs of rows to read, each within one block.
        permutation: int64 (rows,): the i-th row that is used is row ``permutation[i]`` of all rows
            of the runs, counted run after run. None if they are used in that order already.
        sizes: int64 (windows, slots), the rows of every micro-batch.
        first_window: the window that ``sizes`` begins with.
    """

    runs: Runs
    permutation: np.ndarray | None
    sizes: np.ndarray
    first_window: int

    def rows(self) -> np.ndarray:
        """Return the rows in the order in which they are used, int64 (rows,)."""
        return self.places(self.runs.starts)

    @cached_property
    def own_places(self) -> np.ndarray:
        """The rows as ``rows`` returns them, once for all fields that lie in one mapped file."""
        return self.rows()

    def places(self, first_places: np.ndarray) -> np.ndarray:
        """Return where the rows lie, in the order in which they are used.

        Args:
            first_places: int64 (runs,), where the first row of each run lies.

        Returns:
            int64 (rows,), micro-batch after micro-batch.
        """
        return self.permuted(self.runs.places(first_places))

    def permuted(self, values: np.ndarray) -> np.ndarray:
        """Return values of all rows of the runs, (rows,), in the order in which they are used."""
        return values if self.permutation is None else values[self.permutation]


class EpochOrder:
    """The order of one epoch; its memory grows with the blocks, not with the rows.

    Args:
        order: the order of all epochs.
        epoch: number of the epoch, from 0.
    """

    def __init__(self, order: RowOrder, epoch: int):
        self._order = order
        self._epoch = epoch
        permute = (
            random_stream(order.seed, "block order", epoch).permutation if order.in_lanes else None
        )
        self._blocks = Blocks(order.ranges, order.rows_per_block, permute)

    def window_rows(self, window: int) -> list[np.ndarray]:
        """Return the rows of a window: int64 (rows,) for every slot, no rows for an empty one."""
        buffer = self.buffer(window // self._order.windows_per_buffer)
        ends = np.cumsum(buffer.sizes).reshape(buffer.sizes.shape)[window - buffer.first_window]
        sizes = buffer.sizes[window - buffer.first_window]
        rows = buffer.rows()
        return [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    def buffer(self, number: int, slots: range | None = None) -> BufferOrder:
        """Return one filling of the buffer, limited to some slots.

        Args:
            number: the number of the filling, 0 to ``RowOrder.buffers - 1``.
            slots: consecutive slots of the windows; all if not given.
        """
        order = self._order
        slots = order.slots if slots is None else slots
        first = number * order.windows_per_buffer
        last = min(first + order.windows_per_buffer, order.windows)
        sizes = order.micro_batch_sizes(first, last, slots)
        if order.in_lanes:
            runs, permutation = self._mixed_lanes(number, slots, sizes)
        elif order.shuffled:
            runs, permutation = self._mixed_epoch(slots, sizes)
        else:
            runs, permutation = self._unmixed(first, slots, sizes), None
        return BufferOrder(runs, permutation, sizes, first)

    def _mixed_lanes(self, number: int, slots: range, sizes: np.ndarray) -> tuple[Runs, np.ndarray]:
        """Return the runs and the permutation of some lanes' buffers of the same number."""
        order = self._order
        runs: list[Runs] = []
        permutations: list[np.ndarray] = []
        rows_before = 0
        for lane, rows in zip(slots, sizes.sum(axis=0).tolist(), strict=True):
            start = order.lane_start(lane) + number * order.windows_per_buffer * order.batch_size
            runs.append(self._blocks.runs(start, start + rows))
            # The number depends on lane and buffer, not on how many lanes or buffers there are.
            part = (lane << 32) + number
            mixing = random_stream(order.seed, "rows of a lane", self._epoch, part)
            permutation = mixing.permutation(rows)
            permutation += rows_before
            permutations.append(permutation)
            rows_before += rows
        return Runs.joined(runs), _woven_by_window(permutations, sizes)

    def _mixed_epoch(self, slots: range, sizes: np.ndarray) -> tuple[Runs, np.ndarray]:
        """Return all runs of the epoch, and the part of its permutation that some slots take."""
        order = self._order
        permutation = np.arange(order.rows)
        random_stream(order.seed, "row order", self._epoch).shuffle(permutation)
        if len(slots) < order.accumulation_steps:
            permutation = permutation[self._positions(0, slots, sizes).rows()]
        return self._blocks.runs(0, order.rows), permutation

    def _unmixed(self, first: int, slots: range, sizes: np.ndarray) -> Runs:
        """Return the runs that some slots take in the order of the ranges."""
        order = self._order
        if len(slots) == order.accumulation_steps:
            start = first * order.rows_per_window
            return self._blocks.runs(start, start + int(sizes.sum()))
        taken = self._positions(first, slots, sizes)
        pairs = zip(taken.starts.tolist(), taken.ends.tolist(), strict=True)
        return Runs.joined(self._blocks.runs(start, end) for start, end in pairs)

    def _positions(self, first: int, slots: range, sizes: np.ndarray) -> Runs:
        """Return the positions that some slots take if there are no lanes: one run per window."""
        order = self._order
        windows = np.arange(first, first + len(sizes))
        starts = windows * order.rows_per_window + slots.start * order.batch_size
        return Runs(starts, starts + sizes.sum(axis=1))


def _woven_by_window(lanes: list[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """Weave the rows of lanes: all slots of the first window, then all of the second, ...

    Args:
        lanes: int64 (rows,) for every slot.
        sizes: int64 (windows, slots), the rows of every micro-batch.

    Returns:
        int64 (rows of all lanes,)
    """
    batch_size = int(sizes.max(initial=0))
    full = int((sizes == batch_size).all(axis=1).sum()) if batch_size else 0
    # The full windows are woven at once, as (windows, slots, rows of a micro-batch).
    whole = [lane[: full * batch_size].reshape(full, 1, batch_size) for lane in lanes]
    woven = [np.concatenate(whole, axis=1).reshape(-1)]
    for window in range(full, len(sizes)):
        rows_before = sizes[:window].sum(axis=0)
        woven += [
            lane[start : start + rows]
            for lane, start, rows in zip(lanes, rows_before, sizes[window], strict=True)
        ]
    return np.concatenate(woven)
