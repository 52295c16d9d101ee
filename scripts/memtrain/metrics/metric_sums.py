"""The loss and the metrics of rows as one vector of sums, which can be added and saved."""

import math
from collections.abc import Sequence

import torch
from torchmetrics import Metric, MetricCollection

from memtrain.metrics.metric_inputs import model_columns
from memtrain.metrics.metrics import build_metrics
from memtrain.metrics.model_outputs import OutputMeaning
from memtrain.metrics.scorer import ScoredBatch
from memtrain.recipes.recipe import TrainingRecipe

#: Sums before those of the metrics: rows, or the elements by which the loss is divided; losses;
#: rows whose predictions are NaN or infinite.
_OWN_SUMS = 3


class MetricSums:
    """Sums up scored rows.

    Args:
        recipe: training part of the recipe.
        meaning: what the outputs of the model mean. For the task "other", there is only the loss.
        example: a scored row, which tells the shapes of the sums.
    """

    def __init__(self, recipe: TrainingRecipe, meaning: OutputMeaning, example: ScoredBatch):
        self._meaning = meaning
        self._metrics: MetricCollection = build_metrics(
            recipe, meaning.task, has_probabilities=meaning.has_probabilities
        )
        self._own = torch.zeros(_OWN_SUMS, dtype=torch.float64)
        for metric in self._all:
            # torchmetrics would add the sums of all processes again, in an order of its own. Its
            # `sync_on_compute` is read when a metric is made, and without effect afterwards.
            metric.distributed_available_fn = _never
        # Some sums have their shape only after a first row.
        self.add(example)
        self._shapes = [_state(*place).shape for place in self._places]
        self.reset()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return tuple(name for name, _ in self._named)

    @property
    def size(self) -> int:
        """The number of sums in a vector."""
        return len(self.vector())

    def reset(self) -> None:
        """Begin with no rows."""
        self._own.zero_()
        self._metrics.reset()

    def add(self, batch: ScoredBatch) -> None:
        """Add the rows of a batch."""
        rows = len(batch.true_values)
        finite = batch.predictions.reshape(rows, -1).isfinite().all(1)
        nonfinite = rows - int(finite.sum())
        self._own += torch.tensor(
            [batch.loss_count, batch.summed_loss, nonfinite], dtype=torch.float64
        )
        if self.names:
            columns = model_columns(self._meaning, batch.predictions, batch.true_values, batch.mask)
            self._metrics.update(**columns)

    def vector(self) -> torch.Tensor:
        """Return all sums, float64 (sums,). The vectors of two sets of rows add up to that of both.

        Counts are exact up to 2^53 rows or elements.
        """
        states = [
            _state(*place).expand(shape).reshape(-1).double()
            for place, shape in zip(self._places, self._shapes, strict=True)
        ]
        return torch.cat([self._own, *states])

    def values(self, vector: torch.Tensor) -> tuple[float, dict[str, float]]:
        """Return the mean loss, and the metrics by name; means over several targets.

        The loss is that of a row, or of an element where the training counts elements.

        The metrics are NaN where a prediction is NaN or infinite, as in an evaluation.

        Args:
            vector: the sums of all rows, float64 (sums,); this object then holds them.
        """
        self._own, rest = vector[:_OWN_SUMS].clone(), vector[_OWN_SUMS:]
        for (metric, name), shape in zip(self._places, self._shapes, strict=True):
            part, rest = rest[: shape.numel()], rest[shape.numel() :]
            setattr(metric, name, part.reshape(shape).to(_state(metric, name).dtype))
            metric._update_count = 1
        count, loss, nonfinite = self._own.tolist()
        found = {name: float(metric.compute().mean()) for name, metric in self._named}
        if nonfinite:
            found = dict.fromkeys(found, math.nan)
        return loss / count, found

    @property
    def _places(self) -> Sequence[tuple[Metric, str]]:
        """All sums of the metrics, each as the metric and the name of its state."""
        return [(metric, name) for metric in self._all for name in metric.metric_state]

    @property
    def _named(self) -> Sequence[tuple[str, Metric]]:
        return [(name, metric) for name, metric in self._metrics.items()]

    @property
    def _all(self) -> Sequence[Metric]:
        return [metric for _, metric in self._named]


def _never() -> bool:
    return False


def _state(metric: Metric, name: str) -> torch.Tensor:
    state = metric.metric_state[name]
    if not isinstance(state, torch.Tensor):
        raise TypeError(f"the state {name} of {type(metric).__name__} is not a sum over rows")
    return state
