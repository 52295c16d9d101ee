"""What every way of accumulating gradients shares: the window that goes in, and what comes out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from memtrain.training.accumulation.slot_loss import Batch
from memtrain.training.accumulation.summation_tree import tree_sum


@dataclass(frozen=True)
class Window:
    """One process's part of an accumulation window.

    Attributes:
        step: optimizer steps before this window: 0, 1, ...
        sizes: rows in every slot of the whole window; 0 for an empty slot.
        batches: micro-batches of the slots that this process owns, in order, without empty slots.
        elements: elements of all rows of the whole window, by which its loss is divided; None where
            it is divided by the rows.
    """

    step: int
    sizes: Sequence[int]
    batches: Sequence[Batch]
    elements: int | None = None

    @property
    def rows(self) -> int:
        """Rows in the whole window."""
        return sum(self.sizes)

    @property
    def divisor(self) -> int:
        """What the summed loss of the whole window is divided by: its elements, or its rows."""
        return self.rows if self.elements is None else self.elements

    def batches_by_slot(self, slots: range) -> dict[int, Batch]:
        """Return the micro-batches of this process by slot, without empty slots."""
        filled = [slot for slot in slots if self.sizes[slot]]
        return dict(zip(filled, self.batches, strict=True))


@dataclass(frozen=True)
class AccumulatedWindow:
    """The outcome of the accumulation of one window, whose gradient the parameters now hold.

    Attributes:
        loss: mean loss per row, or per element where the window counts its elements.
        should_stop: whether any process was asked to stop.
    """

    loss: float
    should_stop: bool


class Accumulator(Protocol):
    """Computes the gradient of a window from its micro-batches."""

    def accumulate(
        self, window: Window, scale: float, should_stop: Callable[[], bool]
    ) -> AccumulatedWindow:
        """Give the parameters the gradient of the window's mean loss, times ``scale``.

        All processes call this function with their parts of the same window.

        Args:
            window: this process's part of the window.
            scale: factor of the loss, a power of two; see ``OptimizerStep.scale``.
            should_stop: tells whether this process was asked to stop.

        Raises:
            NonFiniteLossError: in every process, if the loss of a slot is NaN or infinite.
        """
        ...


class NonFiniteLossError(ArithmeticError):
    """The loss of a micro-batch is NaN or infinite.

    Attributes:
        slot: place of the micro-batch in its window.
        loss: summed loss of the micro-batch, NaN or infinite.
    """

    def __init__(self, slot: int, loss: float):
        super().__init__(f"the loss of slot {slot} of the window is {loss}")
        self.slot = slot
        self.loss = loss


def mean_loss(losses: Sequence[float], window: Window) -> float:
    """Return the mean loss of a window; the losses of its slots are added in the tree.

    Args:
        losses: summed loss of every slot.
        window: the window, with at least one row in all its slots.

    Raises:
        NonFiniteLossError: for the first slot whose loss is NaN or infinite.
    """
    filled = [loss if size else None for loss, size in zip(losses, window.sizes, strict=True)]
    for slot, loss in enumerate(filled):
        if loss is not None and not math.isfinite(loss):
            raise NonFiniteLossError(slot, loss)
    total = tree_sum(filled)
    if total is None:
        raise ValueError("a window needs at least one row")
    return total / window.divisor
