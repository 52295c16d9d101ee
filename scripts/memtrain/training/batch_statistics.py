"""Computes the statistics of BatchNorm again, for averaged weights.

While it trains, BatchNorm keeps running statistics of the weights of single steps, which do not fit
their average. As ``torch.optim.swa_utils.update_bn`` does, the model is called once more on the
training rows, in micro-batches, and a layer gets the mean of the statistics of all its calls. Here
the rows are in the order of the file, and sums are added in a fixed tree.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from memtrain.components.build import TrainingParts
from memtrain.components.global_state import seed_torch
from memtrain.components.models import normalizing_layers
from memtrain.core.random_streams import torch_seed
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.training.evaluation_mode import evaluation_mode
from memtrain.training.lanes import Lanes
from memtrain.training.run_context import RunContext

#: Means and variances of a layer, tensors (features,), by its name.
Statistics = dict[str, tuple[torch.Tensor, torch.Tensor]]


class BatchStatistics:
    """Computes the statistics that the layers of a model have over the training rows.

    Args:
        recipe: training part of a recipe.
        parts: parts of the training.
        dataset: rows of the training, with their transform.
        context: what the training runs in.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        parts: TrainingParts,
        dataset: MemmapDataset,
        context: RunContext,
    ):
        settings = recipe.settings
        self._parts = parts
        self._dataset = dataset
        self._context = context
        self._seed = torch_seed(settings.seed, "batch statistics")
        self._layers = normalizing_layers(parts.model)
        # A last batch of one row has no variance.
        batches = (recipe.rows.count + settings.batch_size - 2) // settings.batch_size
        self._lanes = Lanes(
            recipe.rows,
            settings.batch_size,
            max(1, batches),
            settings.accumulation_steps,
            context,
        )
        self._sums = self._zeros()

    def compute(self, should_stop: Callable[[], bool]) -> Statistics | None:
        """Return the statistics of the weights as they are; None if a process was asked to stop.

        All processes call this together, and get the same numbers. The model is afterwards what it
        was before.

        Args:
            should_stop: tells whether this process was asked to stop.
        """
        size = sum(len(part) for part in self._sums.values())
        lanes = torch.zeros(self._lanes.count, size, dtype=torch.float64)
        stop = False
        with evaluation_mode(self._parts.model, self._context.device, self._seed), self._noting():
            loader = self._lanes.loader(self._dataset)
            batches = iter(loader) if loader else iter(())
            for lane in self._lanes.own:
                self._sums = self._zeros()
                for batch in self._lanes.of_lane(lane):
                    stop = stop or should_stop()
                    if not stop:
                        self._call(next(batches), batch)
                lanes[lane] = torch.cat(list(self._sums.values()))
        total, stop = self._lanes.added(lanes, stop)
        return None if stop else self._means(total)

    def _zeros(self) -> dict[str, torch.Tensor]:
        """Return for each layer zeros for its calls, and for the sums of its statistics."""
        return {
            name: torch.zeros(1 + 2 * layer.num_features, dtype=torch.float64)
            for name, layer in self._layers.items()
        }

    def _call(self, rows: dict[str, torch.Tensor], number: int) -> None:
        """Call the model on a batch, with random numbers that follow from its number."""
        device = self._context.device
        seed_torch(self._seed + number, device)
        self._parts.loss(
            self._parts.model, {name: value.to(device) for name, value in rows.items()}
        )

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Let the model train meanwhile, and note the statistics of its layers in each call."""
        self._parts.model.train()
        before = {name: layer.momentum for name, layer in self._layers.items()}
        noting = []
        try:
            for name, layer in self._layers.items():
                layer.momentum = 1.0  # the running statistics are then those of the last call
                noting.append(layer.register_forward_hook(partial(self._note, name)))
            yield
        finally:
            for handle in noting:
                handle.remove()
            for name, layer in self._layers.items():
                layer.momentum = before[name]

    def _note(self, name: str, layer: nn.Module, _inputs: Any, _outputs: Any) -> None:
        assert isinstance(layer, _NormBase)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        one = torch.ones(1, dtype=torch.float64)
        found = [part.double().cpu() for part in (layer.running_mean, layer.running_var)]
        self._sums[name] += torch.cat([one, *found])

    def _means(self, total: torch.Tensor) -> Statistics:
        """Return the means over the calls of each layer that was called, float64."""
        statistics: Statistics = {}
        for name, part in zip(
            self._layers, total.split([len(one) for one in self._sums.values()]), strict=True
        ):
            calls, sums = part[0], part[1:].reshape(2, -1)
            if calls:
                mean, variance = sums / calls
                statistics[name] = mean, variance
        return statistics
