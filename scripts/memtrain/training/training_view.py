"""What a hook sees of a training: facts, and copies that it may do anything with."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from memtrain.core.errors import UserError
from memtrain.training.validation_history import ValidationRecord


@dataclass(frozen=True, kw_only=True)
class TrainingView:
    """What a hook sees of a training after an optimizer step.

    Attributes:
        split: the name of the split.
        step: number of the step: 1, 2, ...
        steps: number of steps of the whole training, unless it stops early.
        epoch: number of the epoch of the step: 1, 2, ...
        epochs: number of epochs.
        rows: rows in the accumulation window of the step.
        loss: mean loss per row of this window, before the step.
        gradient_norm: Euclidean norm of the accumulated gradient, before clipping.
        learning_rate: learning rate of the step (of the first parameter group).
        learning_rates: learning rates of the next step, one for each parameter group.
        validation: the newest validation since the call before; None if there was none.
        device: device of the training.
    """

    split: str
    step: int
    steps: int
    epoch: int
    epochs: int
    rows: int
    loss: float
    gradient_norm: float
    learning_rate: float
    learning_rates: tuple[float, ...]
    validation: ValidationRecord | None
    device: torch.device
    _folder: Path = field(repr=False)
    _trained: Callable[[], nn.Module] = field(repr=False)

    @property
    def folder(self) -> Path:
        """A folder for the files of hooks, made when it is first asked for."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def weights(self) -> dict[str, torch.Tensor]:
        """Return copies of the parameters and buffers after the step, by their names."""
        return {
            name: part.detach().clone()
            for name, part in self._trained().state_dict().items()
            if isinstance(part, torch.Tensor)
        }

    def model(self) -> nn.Module:
        """Return a copy of the model after the step, in evaluation mode.

        Raises:
            UserError: if the model cannot be copied.
        """
        try:
            copied = copy.deepcopy(self._trained())
        except Exception as error:
            raise UserError(
                f"the model cannot be copied for a hook ({type(error).__name__}: {error}). Look at "
                "its weights, `view.weights()`."
            ) from None
        return copied.eval()
