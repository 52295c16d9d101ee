"""One optimizer step out of an accumulation window.

The loss of a micro-batch is the sum over its rows, divided by the rows of the whole window before
it is differentiated. The accumulated gradient is then the gradient of the window as one batch,
also where the last micro-batch or the last window is short. (The order of things, the whole window
first and then its true count, is that of torchtitan's ``train_step``.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn, optim

Batch = dict[str, torch.Tensor]


class NonFiniteLossError(ArithmeticError):
    """The loss of a micro-batch is NaN or infinite; ``slot`` is its place in the window."""

    def __init__(self, slot: int, loss: float):
        super().__init__(f"the loss of micro-batch {slot} of the window is {loss}")
        self.slot, self.loss = slot, loss


@dataclass(frozen=True)
class WindowResult:
    """What is known of a window after its step.

    Attributes:
        rows: the rows of all its micro-batches.
        loss: the mean loss of a row, before the step.
        gradient_norm: the Euclidean norm of the accumulated gradient.
    """

    rows: int
    loss: float
    gradient_norm: float


def step_window(
    model: nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: optim.Optimizer,
    window: Sequence[Batch],
) -> WindowResult:
    """Accumulate the gradient of a window, take one step, and clear the gradients.

    Raises:
        NonFiniteLossError: before the step.
    """
    rows, losses = accumulate_gradient(model, loss, window)
    for slot, value in enumerate(losses.tolist()):
        if not torch.isfinite(torch.tensor(value)):
            raise NonFiniteLossError(slot, value)
    gradients = [part.grad for part in model.parameters() if part.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return WindowResult(rows, losses.sum().item() / rows, norm.item())


def accumulate_gradient(
    model: nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    window: Sequence[Batch],
) -> tuple[int, torch.Tensor]:
    """Add the gradient of a window's mean loss to the parameters' gradients.

    Args:
        model: maps features to outputs.
        loss: maps outputs and target to the sum of the losses of the rows.
        window: the micro-batches, dicts with "features" and "target" of (rows, ...).

    Returns:
        The rows of the window, and the summed loss of every micro-batch, float64 (slots,).
    """
    rows = sum(len(batch["target"]) for batch in window)
    losses = []
    for batch in window:
        summed = loss(model, batch)
        (summed / rows).backward()
        losses.append(summed.detach())
    return rows, torch.stack(losses).double()
