"""Averages of the weights over the steps of a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from memtrain.recipes.recipe import TrainingRecipe


class Averaging:
    """Averages the parameters of a model after each step.

    An exponential average begins with the weights after the first step, and moves by ``1 - ema`` of
    the distance to the weights after each later one. A plain average (SWA) is the mean of the
    weights after each step behind its start. Buffers are those of the last step. All processes have
    the same weights, and so the same averages.

    Args:
        recipe: training part of a recipe, whose settings name an average.
        model: model that is trained, not sharded.

    Attributes:
        steps_before: steps before the first one that counts.
    """

    def __init__(self, recipe: TrainingRecipe, model: nn.Module):
        averaging, sizes = recipe.settings.averaging, recipe.sizes
        self._ema = averaging.ema if averaging else None
        self.steps_before = (
            averaging.steps_before(sizes.steps, sizes.steps_per_epoch) if averaging else sizes.steps
        )
        self._parameters = {
            name: part
            for name, part in model.named_parameters()
            if part.is_floating_point() or part.is_complex()
        }
        self._averages: dict[str, torch.Tensor] = {}
        self._count = 0

    @property
    def has_begun(self) -> bool:
        """Whether there is an average of at least one step."""
        return self._count > 0

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Add the weights after a step: 1, 2, ..."""
        if step <= self.steps_before:
            return
        self._count += 1
        if self._count == 1:
            self._averages = {name: part.clone() for name, part in self._parameters.items()}
            return
        share = 1 / self._count if self._ema is None else 1 - self._ema
        for name, part in self._parameters.items():
            self._averages[name].lerp_(part, share)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the model the averages meanwhile, in the memory of its own weights."""
        if not self.has_begun:
            yield
            return
        own = {name: part.detach().clone() for name, part in self._parameters.items()}
        self._put(self._averages)
        try:
            yield
        finally:
            self._put(own)

    def state_dict(self) -> dict[str, Any]:
        """Return the averages, and of how many steps they are."""
        return {"averages": self._averages, "averaged_steps": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._count = state["averaged_steps"]
        self._averages = {
            name: state["averages"][name].to(part.device)
            for name, part in self._parameters.items()
            if self._count
        }

    @torch.no_grad()
    def _put(self, weights: Mapping[str, torch.Tensor]) -> None:
        for name, part in self._parameters.items():
            part.copy_(weights[name])
