"""Validates a model while it trains: the loss and the metrics of rows that it is not trained on.

The validation rows are cut into batches, in order, and the batches into lanes. A lane is summed up
by one process, batch after batch, and the sums of the lanes are added in a tree. Neither batches
nor lanes depend on the number of processes, so that the numbers do not either.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import nn

from memtrain.components.build import ModelParts, TrainingParts
from memtrain.components.row_transform import build_row_transform
from memtrain.components.rows import open_rows
from memtrain.core.random_streams import torch_seed
from memtrain.core.ranges import at_positions
from memtrain.data.files_layout import FilesLayout
from memtrain.loading.block_loader import BlockLoader
from memtrain.metrics.metric_sums import MetricSums
from memtrain.metrics.scorer import Scorer
from memtrain.recipes.recipe import Rows, TrainingRecipe
from memtrain.training.evaluation_mode import evaluation_mode
from memtrain.training.run_context import RunContext
from memtrain.training.validation_history import ValidationRecord

#: Batches that the rows are cut into at least, so that processes can share them, unless a batch
#: would have fewer rows than the second number.
_BATCHES = 16
_LEAST_ROWS = 512

#: Most lanes, which limits the memory of their sums. More processes wait for those that have one.
_MOST_LANES = 64


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
        self._rows_per_batch = min(self._scorer.rows_per_batch, share)
        self._batches = -(-rows.count // self._rows_per_batch)
        self._lanes = _count_lanes(self._batches, recipe.settings.accumulation_steps)

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
            lanes, is_stopped = self._sum_lanes(should_stop)
        if is_stopped:
            return None
        while len(lanes) > 1:
            lanes = lanes[0::2] + lanes[1::2]
        loss, metrics = self._sums.values(lanes[0])
        return ValidationRecord(epoch, step, self._rows.count, loss, metrics)

    @property
    def _model(self) -> nn.Module:
        return self._parts.model

    def _sum_lanes(self, should_stop: Callable[[], bool]) -> tuple[torch.Tensor, bool]:
        """Return the sums of all lanes, float64 (lanes, sums), and whether to stop.

        Every lane has zeros in all processes but one, so that adding them rounds nothing.
        """
        lanes = torch.zeros(self._lanes, self._sums.size, dtype=torch.float64)
        stop = False
        batches = iter(self._loader) if self._loader else iter(())
        for lane in self._own_lanes:
            self._sums.reset()
            for _ in range(*self._borders(lane)):
                # Processes with a sharded model call it equally often.
                stop = stop or (should_stop() and not self._is_sharded)
                if not stop:
                    self._sums.add(self._scorer.score(next(batches)))
            lanes[lane] = self._sums.vector()
        if self._is_sharded or self._context.group.world_size == 1:
            return lanes, stop
        sent = torch.cat([lanes.reshape(-1), torch.tensor([stop], dtype=torch.float64)])
        added = self._context.group.all_reduce_sum(sent.to(self._context.device)).cpu()
        return added[:-1].reshape(lanes.shape), bool(added[-1])

    @cached_property
    def _own_lanes(self) -> range:
        """The lanes of this process."""
        rank, world_size = self._context.group.rank, self._context.group.world_size
        if self._is_sharded:
            return range(self._lanes)
        return range(self._lanes * rank // world_size, self._lanes * (rank + 1) // world_size)

    def _borders(self, lane: int) -> tuple[int, int]:
        """Return the first batch of a lane, and the one after its last."""
        return self._batches * lane // self._lanes, self._batches * (lane + 1) // self._lanes

    @cached_property
    def _loader(self) -> BlockLoader | None:
        """The loader of the batches of this process; None if it has none."""
        if not self._own_lanes:
            return None
        first, _ = self._borders(self._own_lanes[0])
        _, end = self._borders(self._own_lanes[-1])
        size = self._rows_per_batch
        loading = self._context.loading
        return BlockLoader(
            self._dataset,
            size,
            shuffle=None,
            ranges=list(at_positions(self._rows.resolved, first * size, end * size)),
            reader=loading.reader,
            mapped_files=loading.most_mapped,
            memory_budget=loading.budget_bytes,
        )


def _count_lanes(batches: int, accumulation_steps: int) -> int:
    """Return the number of lanes: a power of two, like the processes that may train together."""
    lanes = accumulation_steps & -accumulation_steps
    while lanes > min(batches, _MOST_LANES):
        lanes //= 2
    return lanes
