"""One optimizer step: from the gradient of a window to new weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, optim
from torch.distributed.tensor import DTensor

from memtrain.components.plateau import Plateau
from memtrain.components.savable_state import check_savable


@dataclass(frozen=True)
class StepTaken:
    """What an optimizer step did.

    Attributes:
        learning_rate: learning rate of the step (of the first parameter group).
        gradient_norm: Euclidean norm of the gradient before clipping.
        skipped: whether the step was skipped because a float16 number had overflowed.
    """

    learning_rate: float
    gradient_norm: float
    skipped: bool


#: A gradient that overflows float16 although its loss was multiplied by less than this has another
#: cause than the scale: 30 steps in a row have then been skipped.
_SMALLEST_SCALE = 2.0**-14


class NonFiniteGradientError(ArithmeticError):
    """The gradient of a window is NaN or infinite, although its loss is finite.

    Attributes:
        norm: norm of the gradient, NaN or infinite.
    """

    def __init__(self, norm: float):
        super().__init__(f"the norm of the gradient is {norm}")
        self.norm = norm


class OptimizerStep:
    """Takes the optimizer steps of a training.

    Args:
        optimizer: optimizer of the model; it uses and clears the gradients of its parameters.
        scheduler: learning-rate schedule, advanced after every step that was not skipped; None for
            a constant rate.
        clip_norm: norm to which a larger gradient is scaled down; None for no clipping.
        scales_loss: whether losses have to be scaled, as float16 requires.
        device: device of the parameters.
    """

    def __init__(
        self,
        optimizer: optim.Optimizer,
        scheduler: optim.lr_scheduler.LRScheduler | None,
        *,
        clip_norm: float | None,
        scales_loss: bool,
        device: torch.device,
    ):
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._clip_norm = clip_norm
        self._scaler = torch.amp.GradScaler(device.type, enabled=scales_loss)
        # A GradScaler has no scale before it has scaled something. Losses are multiplied by the
        # property ``scale`` instead, so it scales a number here that nobody uses.
        self._scaler.scale(torch.ones((), device=device))

    @property
    def scale(self) -> float:
        """Factor of the losses of the next window, a power of two."""
        return self._scaler.get_scale()

    def take(self) -> StepTaken:
        """Take a step with the gradients of the parameters, and clear the gradients.

        Raises:
            NonFiniteGradientError: if the gradient is NaN or infinite, and a smaller scale of the
                loss does not help. No parameter has changed then.
        """
        parameters = [part for group in self._optimizer.param_groups for part in group["params"]]
        learning_rate = float(self._optimizer.param_groups[0]["lr"])
        self._scaler.unscale_(self._optimizer)
        gradients = [part.grad for part in parameters if part.grad is not None]
        norm = _over_all_shards(nn.utils.get_total_norm(gradients))
        gradient_norm = float(norm)
        skipped = self._update_scale()
        if not math.isfinite(gradient_norm) and not skipped:
            raise NonFiniteGradientError(gradient_norm)
        if not skipped:
            if self._clip_norm is not None:
                nn.utils.clip_grads_with_norm_(parameters, self._clip_norm, norm)
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._scheduler is not None and not skipped:
            self._scheduler.step()
        return StepTaken(learning_rate, gradient_norm, skipped)

    def validated(self, loss: float) -> None:
        """Advance a schedule that follows the losses of validations."""
        if isinstance(self._scheduler, Plateau):
            self._scheduler.validated(loss)

    def _update_scale(self) -> bool:
        """Adapt the scale to the unscaled gradients, and return whether one of them overflowed.

        The optimizer never sees a step that is skipped. ``GradScaler.step`` would call a fused
        optimizer all the same, and tell it to change nothing. The scale shrinks if and only if a
        gradient has overflowed; see "Typical Mixed Precision Training" in PyTorch's examples.
        """
        scale = self.scale
        self._scaler.update()
        return _SMALLEST_SCALE <= self.scale < scale

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the schedule and of the loss scale.

        Raises:
            UserError: if the state of the schedule holds what no checkpoint can hold.
        """
        scheduler = None if self._scheduler is None else self._scheduler.state_dict()
        check_savable("training.scheduler", scheduler)
        return {"scheduler": scheduler, "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])
        self._scaler.load_state_dict(state["scaler"])


def _over_all_shards(norm: torch.Tensor) -> torch.Tensor:
    """Return the norm over all shards of a sharded model."""
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
