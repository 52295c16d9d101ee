"""The accumulation windows of a training, one after the other, with an account of their rows."""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from memtrain.components.padded_batch import count_elements
from memtrain.core.errors import UserError
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.order_digest import VisitingOrder
from memtrain.recipes.recipe import Sizes
from memtrain.training.accumulation.accumulator import Window
from memtrain.training.accumulation.slot_loss import Batch
from memtrain.training.performance import TrainingCost
from memtrain.training.window_elements import WindowElements

_NO_ROWS = np.empty(0, np.int64)


class WindowSource:
    """Yields this process's part of every accumulation window.

    Args:
        loader: loader of the micro-batches that this process owns.
        sizes: sizes of the training, among them its steps per epoch and its steps in all.
        elements: counts the elements of the targets, by which a window's loss is divided; None
            where it is divided by the rows.

    Attributes:
        visited: digests of the rows that were visited so far.
    """

    def __init__(self, loader: BlockLoader, sizes: Sizes, elements: WindowElements | None = None):
        self._loader = loader
        self._elements = elements
        self._slots = loader.slots
        self._sizes = sizes
        order = loader.order
        self.visited = VisitingOrder(self._slots, order.accumulation_steps, order.batch_size)

    def windows(self, first_step: int, cost: TrainingCost) -> Iterator[Window]:
        """Yield the windows from a step to the end of the training.

        Args:
            first_step: steps that are already done.
            cost: receives the time spent waiting for rows.

        Raises:
            UserError: where the rows of a window have no elements, or others than their offsets
                announce.
        """
        per_epoch = self._sizes.steps_per_epoch
        self._loader.start_at(*divmod(first_step, per_epoch))
        loaded = self._loader.windows()
        for step in range(first_step, self._sizes.steps):
            sizes = self._slot_sizes(step % per_epoch)
            own_sizes = [sizes[slot] for slot in self._slots]
            elements = self._elements_of_slots(step)
            total = None if elements is None else sum(elements)
            if not any(own_sizes):
                self.visited.visit(_NO_ROWS, [])
                yield Window(step, sizes, [], total)
                continue
            start = time.perf_counter()
            batches = next(loaded)
            cost.waiting_seconds += time.perf_counter() - start
            self.visited.visit(self._loader.rows, own_sizes)
            named = [_with_named_fields(batch) for batch in batches]
            if elements is not None:
                filled = [slot for slot, size in zip(self._slots, own_sizes, strict=True) if size]
                _check_elements(step, dict(zip(filled, named, strict=True)), elements)
            yield Window(step, sizes, named, total)

    def rows_of_slot(self, step: int, slot: int) -> list[int]:
        """Return the numbers of the rows in one slot of one window.

        Args:
            step: steps before the window: 0, 1, ...
            slot: place of the micro-batch in the window.
        """
        epoch, window = divmod(step, self._sizes.steps_per_epoch)
        return self._loader.order.epoch(epoch).window_rows(window)[slot].tolist()

    def _elements_of_slots(self, step: int) -> list[int] | None:
        """Return the elements in every slot of a window; None where they are not counted."""
        if self._elements is None:
            return None
        epoch, window = divmod(step, self._sizes.steps_per_epoch)
        elements = self._elements.of_slots(epoch, window)
        if not any(elements):
            raise UserError(
                f"training.normalize: the rows of step {step + 1:,} have no elements, so that "
                "their mean loss is not defined. Use larger windows (batch_size, "
                "accumulation_steps), or leave out rows without elements."
            )
        return elements

    def _slot_sizes(self, window: int) -> list[int]:
        """Return the number of rows in every slot of a window of an epoch."""
        order = self._loader.order
        if window < order.full_windows:
            return [order.batch_size] * order.accumulation_steps
        return order.micro_batch_sizes(window, window + 1)[0].tolist()


def _check_elements(step: int, batches: Mapping[int, Batch], counted: Sequence[int]) -> None:
    """Compare the elements of micro-batches with those that were counted before.

    Args:
        step: steps before the window.
        batches: micro-batches by slot.
        counted: elements of every slot.
    """
    for slot, batch in batches.items():
        found = count_elements(batch, "target")
        if found != counted[slot]:
            raise UserError(
                f"training.normalize: the targets of slot {slot} of step {step + 1:,} have "
                f"{found:,} elements, but their rows have {counted[slot]:,}. With `normalize: "
                "elements`, a transform must keep the lengths of the targets."
            )


def _with_named_fields(batch: torch.Tensor | Batch) -> Batch:
    if isinstance(batch, torch.Tensor):
        raise TypeError("the rows of a training are records with the fields features and target")
    return batch
