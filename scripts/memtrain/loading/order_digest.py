"""The order in which a training visited its rows, as one digest that can be checked afterwards.

Every slot has a chain of its own: the rows that it was given, window after window, are collected in
groups, and the digest of a group goes into the next. The digest of the training is that of all
chains, so that it is the same for any number of processes and any number of stops, and
``declared_order_digest`` computes it from a recipe without training anything.

After "Unlearning at Scale" (arXiv 2508.12220), which keeps an ordered hash of the rows of every
micro-batch; here they are collected, so that it costs nothing that can be measured.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from memtrain.loading.row_order import RowOrder, row_order
from memtrain.recipes.recipe import TrainingRecipe

#: Rows of a slot that are collected before they are digested (a window at least).
_ROWS_PER_GROUP = 1024
_DIGEST_BYTES = 32


class VisitingOrder:
    """Digests the rows that the slots of one process are given.

    Args:
        slots: of this process.
        accumulation_steps: the slots of a window.
        batch_size: the rows of a micro-batch.
    """

    def __init__(self, slots: range, accumulation_steps: int, batch_size: int):
        self._slots = slots
        windows = max(1, _ROWS_PER_GROUP // batch_size)
        self._chains = np.zeros((accumulation_steps, _DIGEST_BYTES), np.uint8)
        # A row is kept as its number plus one, so that states of processes can be added.
        self._group = np.zeros((accumulation_steps, windows, batch_size), np.int64)
        self._windows = 0

    def visit(self, rows: np.ndarray, sizes: Sequence[int]) -> None:
        """Take in the rows of a window.

        Args:
            rows: int64 (rows,), those of this process's slots, one after the other.
            sizes: how many of them belong to each of its slots.
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
        """Return the state, int64 (slots, numbers); zeros where a slot belongs to others.

        The states of all processes, added up, are the state of the whole.
        """
        numbers = [self._chains.view(np.int64), self._group.reshape(len(self._group), -1)]
        windows = np.zeros((len(self._group), 1), np.int64)
        windows[self._slots.start : self._slots.stop] = self._windows
        return torch.from_numpy(np.concatenate([*numbers, windows], axis=1))

    def load(self, state: torch.Tensor) -> None:
        """Go on from the state of the whole."""
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
    """Return "sha256:" and the digest of all chains, from the state of the whole."""
    return "sha256:" + hashlib.sha256(state.cpu().numpy().tobytes()).hexdigest()


def order_digest(order: RowOrder, epochs: int, drop_last_window: bool) -> str:
    """Return the digest of a training that visits its rows as they are ordered.

    Args:
        order: of the training.
        epochs: how many.
        drop_last_window: whether a short window at the end of an epoch is left out.
    """
    slots = range(order.accumulation_steps)
    visited = VisitingOrder(slots, order.accumulation_steps, order.batch_size)
    windows = order.full_windows if drop_last_window else order.windows
    for epoch in map(order.epoch, range(epochs)):
        for number in range(order.buffers):
            buffer = epoch.buffer(number)
            ends = np.cumsum(buffer.sizes.sum(axis=1))
            rows = buffer.rows()
            for window in range(min(len(ends), windows - buffer.first_window)):
                sizes = buffer.sizes[window]
                visited.visit(rows[ends[window] - sizes.sum() : ends[window]], sizes)
    return digest_of_state(visited.state())


def declared_order_digest(recipe: TrainingRecipe) -> str:
    """Return the digest of a training that visits its rows as its recipe says.

    A billion rows take minutes: every row number is computed, and digested, epoch after epoch.
    """
    settings = recipe.settings
    order = row_order(
        recipe.rows.resolved,
        recipe.row_bytes,
        settings.batch_size,
        settings.accumulation_steps,
        settings.shuffle,
        settings.seed,
    )
    return order_digest(order, settings.epochs, settings.last_window == "drop")
