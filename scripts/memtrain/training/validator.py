"""Validates a model while it trains: the loss and the metrics of rows that it is not trained on.

Processes share the rows in lanes, so that the numbers do not depend on how many there are.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import nn

from memtrain.components.build import ModelParts, TrainingParts
from memtrain.components.row_transform import build_row_transform
from memtrain.components.rows import open_rows
from memtrain.core.random_streams import torch_seed
from memtrain.data.files_layout import FilesLayout
from memtrain.loading.block_loader import BlockLoader
from memtrain.metrics.metric_sums import MetricSums
from memtrain.metrics.scorer import Scorer
from memtrain.recipes.recipe import Rows, TrainingRecipe
from memtrain.training.evaluation_mode import evaluation_mode
from memtrain.training.lanes import Lanes
from memtrain.training.run_context import RunContext
from memtrain.training.validation_history import ValidationRecord

#: Batches that the rows are cut into at least, so that processes can share them, unless a batch
#: would have fewer rows than the second number.
_BATCHES = 16
_LEAST_ROWS = 512


class Validator:
    """Validates the model of a training.

    Args:
        recipe: training part of the recipe.
        rows: its validation rows.
        parts: the parts of the training.
        data: path of the record file that holds the rows.
        context: what the training runs in.
        is_sharded: whether the model is sharded among the processes. They then have to call it
            together, so that each of them computes all rows.

    Raises:
        UserError: if the file does not hold the rows.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        rows: Rows,
        parts: TrainingParts,
        data: str | FilesLayout,
        context: RunContext,
        *,
        is_sharded: bool,
    ):
        self._recipe = recipe
        self._rows = rows
        self._context = context
        self._is_sharded = is_sharded
        self._seed = torch_seed(recipe.settings.seed, "validation")
        # The training's own transform also standardizes targets; metrics take them as they are.
        transform = build_row_transform("training", recipe)
        self._parts = ModelParts(transform, parts.model, parts.loss, parts.target)
        self._dataset = open_rows(data, recipe, rows, transform, float64=True)
        with evaluation_mode(self._model, context.device, self._seed):
            self._scorer = Scorer(recipe, self._parts, self._dataset, rows, context.device)
        self._sums = MetricSums(recipe, self._scorer.meaning, self._scorer.example)
        share = max(_LEAST_ROWS, -(-rows.count // _BATCHES))
        rows_per_batch = min(self._scorer.rows_per_batch, share)
        self._lanes = Lanes(
            rows,
            rows_per_batch,
            -(-rows.count // rows_per_batch),
            recipe.settings.accumulation_steps,
            context,
            is_shared=not is_sharded,
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return self._sums.names

    def validate(
        self, *, step: int, epoch: int, should_stop: Callable[[], bool]
    ) -> ValidationRecord | None:
        """Return how good the model is; None if any process was asked to stop meanwhile.

        All processes call this together, and get the same numbers. Model and random numbers are
        afterwards what they were before.

        Args:
            step: optimizer steps so far.
            epoch: number of the epoch of the last one.
            should_stop: tells whether this process was asked to stop.
        """
        with evaluation_mode(self._model, self._context.device, self._seed):
            sums, is_stopped = self._sum_up(should_stop)
        if is_stopped:
            return None
        loss, metrics = self._sums.values(sums)
        return ValidationRecord(epoch, step, self._rows.count, loss, metrics)

    @property
    def _model(self) -> nn.Module:
        return self._parts.model

    def _sum_up(self, should_stop: Callable[[], bool]) -> tuple[torch.Tensor, bool]:
        """Return the sums of all rows, float64 (sums,), and whether to stop."""
        lanes = torch.zeros(self._lanes.count, self._sums.size, dtype=torch.float64)
        stop = False
        batches = iter(self._loader) if self._loader else iter(())
        for lane in self._lanes.own:
            self._sums.reset()
            for _ in self._lanes.of_lane(lane):
                # Processes with a sharded model call it equally often.
                stop = stop or (should_stop() and not self._is_sharded)
                if not stop:
                    self._sums.add(self._scorer.score(next(batches)))
            lanes[lane] = self._sums.vector()
        return self._lanes.added(lanes, stop)

    @cached_property
    def _loader(self) -> BlockLoader | None:
        """The loader of the batches of this process; None if it has none."""
        return self._lanes.loader(self._dataset)
