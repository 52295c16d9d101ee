"""One optimizer step, from the gradient of a window to new weights."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, optim


@dataclass(frozen=True)
class StepTaken:
    """What an optimizer step did.

    Attributes:
        learning_rate: that it was taken with (of the first parameter group).
        gradient_norm: the Euclidean norm of the gradient, before clipping.
        skipped: whether it was not taken, since a float16 had overflowed.
    """

    learning_rate: float
    gradient_norm: float
    skipped: bool


class OptimizerStep:
    """Takes the steps of a training.

    Args:
        optimizer: of the model's parameters, whose gradients it uses and clears.
        scheduler: stepped once an optimizer step that was taken.
        clip_norm: the norm that a larger gradient is scaled down to; None for no clipping.
        scales: whether losses have to be scaled, for float16.
        device: of the parameters.
    """

    def __init__(
        self,
        optimizer: optim.Optimizer,
        scheduler: optim.lr_scheduler.LRScheduler | None,
        clip_norm: float | None,
        scales: bool,
        device: torch.device,
    ):
        self._optimizer, self._scheduler, self._clip_norm = optimizer, scheduler, clip_norm
        self._scaler = torch.amp.GradScaler(device.type, enabled=scales)
        # It has no scale before it was asked for one, and losses here are scaled by a plain number.
        self._scaler.scale(torch.ones((), device=device))

    @property
    def scale(self) -> float:
        """What the losses of the next window have to be multiplied with; a power of two."""
        return self._scaler.get_scale()

    def take(self) -> StepTaken:
        """Take a step by the gradients of the parameters, and clear them."""
        parameters = [part for group in self._optimizer.param_groups for part in group["params"]]
        learning_rate = float(self._optimizer.param_groups[0]["lr"])
        self._scaler.unscale_(self._optimizer)
        gradients = [part.grad for part in parameters if part.grad is not None]
        norm = _whole(nn.utils.get_total_norm(gradients))
        if self._clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._clip_norm, norm)
        gradient_norm = float(norm)
        skipped = self._scaler.is_enabled() and not math.isfinite(gradient_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        if self._scheduler is not None and not skipped:
            self._scheduler.step()
        return StepTaken(learning_rate, gradient_norm, skipped)

    def save(self) -> dict[str, Any]:
        """Return the state of schedule and scale."""
        scheduler = None if self._scheduler is None else self._scheduler.state_dict()
        return {"scheduler": scheduler, "scaler": self._scaler.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what ``save`` returned."""
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])
        self._scaler.load_state_dict(state["scaler"])


def _whole(norm: torch.Tensor) -> torch.Tensor:
    """Return the norm of all shards, where there are shards."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
