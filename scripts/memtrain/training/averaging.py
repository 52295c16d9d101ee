"""Averages of the weights over the steps of a training."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from memtrain.components.models import normalizing_layers
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.training.batch_statistics import BatchStatistics, Statistics


class Averaging:
    """Averages the parameters of a model after each step.

    An exponential average begins with the weights after the first step, and moves by ``1 - ema`` of
    the distance to the weights after each later one. A plain average (SWA) is the mean of the
    weights after each step behind its start. Buffers are those of the last step, but the statistics
    of BatchNorm, which are computed again. All processes have the same weights, and so the same
    averages.

    Args:
        recipe: training part of a recipe, whose settings name an average.
        model: model that is trained, not sharded.
        statistics: computes the statistics of BatchNorm again; None for a model without it.

    Attributes:
        steps_before: steps before the first one that counts.
    """

    def __init__(
        self, recipe: TrainingRecipe, model: nn.Module, statistics: BatchStatistics | None = None
    ):
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
        self._layers = normalizing_layers(model)
        self._statistics = statistics
        # Those of the average of so many steps.
        self._computed: tuple[int, Statistics] = (0, {})
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

    def prepare(self, should_stop: Callable[[], bool]) -> bool:
        """Compute what the averages need before they are lent; all processes call this together.

        Args:
            should_stop: tells whether this process was asked to stop.

        Returns:
            False if any process was asked to stop before the end.
        """
        if self._statistics is None or self._computed[0] == self._count:
            return True
        with self._lent({}):
            computed = self._statistics.compute(should_stop)
        if computed is not None:
            self._computed = (self._count, computed)
        return computed is not None

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the model the averages meanwhile, in the memory of its own weights.

        ``prepare`` has to be called before, after the last step.
        """
        if not self.has_begun:
            yield
            return
        count, statistics = self._computed
        if self._statistics is not None and count != self._count:
            raise RuntimeError("the averages are lent before their statistics are computed")
        with self._lent(statistics):
            yield

    @contextmanager
    def _lent(self, statistics: Statistics) -> Iterator[None]:
        own = [(part, part.detach().clone()) for part in self._borrowed()]
        self._put(statistics)
        try:
            yield
        finally:
            with torch.no_grad():
                for part, before in own:
                    part.copy_(before)

    def _borrowed(self) -> Iterator[torch.Tensor]:
        """Yield the tensors of the model that hold other values while averages are lent."""
        yield from self._parameters.values()
        for layer in self._layers.values():
            yield from (part for part in layer.buffers(recurse=False))

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
    def _put(self, statistics: Statistics) -> None:
        """Give the model the averages, and layers their statistics, by their names."""
        for name, part in self._parameters.items():
            part.copy_(self._averages[name])
        for name, found in statistics.items():
            layer = self._layers[name]
            for own, value in zip((layer.running_mean, layer.running_var), found, strict=True):
                assert own is not None
                own.copy_(value)
