"""The order in which a training visited its rows, as one digest that can be checked afterwards.

Every slot has a chain of digests. The rows of the slot, window after window, are collected in
groups, and the digest of each group includes the digest of the group before. The digest of the
training covers the chains of all slots and the rows of the groups that are not full. So it does not
depend on the number of processes or of interruptions, and ``declared_order_digest`` computes it
from a recipe without any training.

The idea is that of "Unlearning at Scale" (arXiv:2508.12220), which keeps an ordered hash of the
rows of every micro-batch. Here rows are collected first, so that the cost is too small to measure.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from memtrain.loading.row_order import RowOrder, row_order
from memtrain.recipes.recipe import TrainingRecipe

#: Number of rows of a slot that are collected before they are digested; a larger micro-batch is
#: digested as a whole.
_ROWS_PER_GROUP = 1024
_DIGEST_BYTES = 32


class VisitingOrder:
    """Digests the rows that the slots of one process are given.

    Args:
        slots: the slots of this process.
        accumulation_steps: number of slots of a window.
        batch_size: number of rows of a micro-batch.
    """

    def __init__(self, slots: range, accumulation_steps: int, batch_size: int):
        self._slots = slots
        windows = max(1, _ROWS_PER_GROUP // batch_size)
        self._chains = np.zeros((accumulation_steps, _DIGEST_BYTES), np.uint8)
        # (slots, windows, rows of a micro-batch). A row is kept as its number plus one, and zero
        # means no row, so that the states of processes can be added up.
        self._group = np.zeros((accumulation_steps, windows, batch_size), np.int64)
        self._windows = 0

    def visit(self, rows: np.ndarray, sizes: Sequence[int]) -> None:
        """Add the rows of one window.

        Args:
            rows: int64 (rows,), the rows of this process's slots, one slot after the other.
            sizes: number of these rows that belong to each slot of this process.
        """
        own = self._group[self._slots.start : self._slots.stop, self._windows]
        if len(rows) == own.size:
            np.add(rows.reshape(own.shape), 1, out=own)
        else:
            end = 0
            for slot, size in enumerate(sizes):
                own[slot, :size] = rows[end : end + size] + 1
                end += size
        self._windows += 1
        if self._windows == self._group.shape[1]:
            self._close_group()

    def state(self) -> torch.Tensor:
        """Return the state, int64 (slots, numbers); zeros for slots of other processes.

        The sum of the states of all processes is the state of the whole training.
        """
        numbers = [self._chains.view(np.int64), self._group.reshape(len(self._group), -1)]
        windows = np.zeros((len(self._group), 1), np.int64)
        windows[self._slots.start : self._slots.stop] = self._windows
        return torch.from_numpy(np.concatenate([*numbers, windows], axis=1))

    def load(self, state: torch.Tensor) -> None:
        """Continue from the state of the whole training."""
        numbers = state.cpu().numpy()
        own = slice(self._slots.start, self._slots.stop)
        chain_numbers = _DIGEST_BYTES // 8
        self._chains[:], self._group[:] = 0, 0
        self._chains.view(np.int64)[own] = numbers[own, :chain_numbers]
        self._group[own] = numbers[own, chain_numbers:-1].reshape(self._group[own].shape)
        self._windows = int(numbers[self._slots.start, -1])

    def _close_group(self) -> None:
        for slot in self._slots:
            rows = self._group[slot, : self._windows]
            digest = hashlib.sha256(self._chains[slot].tobytes() + rows.tobytes()).digest()
            self._chains[slot] = np.frombuffer(digest, np.uint8)
        self._group[self._slots.start : self._slots.stop] = 0
        self._windows = 0


def digest_of_state(state: torch.Tensor) -> str:
    """Return "sha256:" and the digest of the state of the whole training."""
    return "sha256:" + hashlib.sha256(state.cpu().numpy().tobytes()).hexdigest()


def order_digest(
    order: RowOrder, epochs: int, drop_last_window: bool, steps: int | None = None
) -> str:
    """Return the digest of a training that visits its rows in a given order.

    Args:
        order: the order of the training.
        epochs: number of epochs.
        drop_last_window: whether a short window at the end of an epoch is left out.
        steps: number of windows after which the training ended; None for that of all epochs.
    """
    visited = VisitingOrder(order.slots, order.accumulation_steps, order.batch_size)
    windows = order.full_windows if drop_last_window else order.windows
    left = epochs * windows if steps is None else steps
    for epoch in map(order.epoch, range(epochs)):
        for number in range(order.buffers if left > 0 else 0):
            buffer = epoch.buffer(number)
            ends = np.cumsum(buffer.sizes.sum(axis=1))
            rows = buffer.rows()
            in_buffer = min(len(ends), windows - buffer.first_window, left)
            left -= in_buffer
            for window in range(in_buffer):
                sizes = buffer.sizes[window]
                visited.visit(rows[ends[window] - sizes.sum() : ends[window]], sizes.tolist())
    return digest_of_state(visited.state())


def declared_order(recipe: TrainingRecipe) -> RowOrder:
    """Return the order that a recipe gives to its rows."""
    settings = recipe.settings
    return row_order(
        recipe.rows.resolved,
        row_bytes=recipe.row_bytes,
        batch_size=settings.batch_size,
        accumulation_steps=settings.accumulation_steps,
        shuffle=settings.shuffle,
        seed=settings.seed,
    )


def declared_order_digest(recipe: TrainingRecipe, steps: int | None = None) -> str:
    """Return the digest of a training that visits its rows in the order of its recipe.

    A billion rows take minutes: every row number is computed and digested, epoch after epoch.

    Args:
        recipe: training part of a recipe.
        steps: number of steps after which the training ended; None for those of the recipe.
    """
    settings = recipe.settings
    drop_last_window = settings.last_window == "drop"
    return order_digest(declared_order(recipe), settings.epochs, drop_last_window, steps)
