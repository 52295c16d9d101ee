"""Runs a trained model over the evaluation rows of its split."""

import os
from collections.abc import Iterator

import numpy as np
import torch

from memtrain.components.build import build_model_parts
from memtrain.components.device import choose_device, set_exactness
from memtrain.components.loss_kinds import task_of
from memtrain.components.losses import SummedLoss
from memtrain.components.models import count_parameters
from memtrain.components.rows import first_row, open_rows
from memtrain.config.training import LoadingSettings
from memtrain.core.ranges import at_positions
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.evaluation.model_outputs import OutputMeaning
from memtrain.evaluation.predictions import create_predictions, prediction_dtype
from memtrain.evaluation.result import Evaluation
from memtrain.evaluation.tally import EvaluatedBatch, ModelFacts, Tally
from memtrain.loading.block_loader import BlockLoader
from memtrain.recipes.recipe import Recipe
from memtrain.system.progress import Progress
from memtrain.training.weights import load_weights

#: Most rows that go through the model together, and most bytes of their features or predictions.
#: The size of a batch follows from the shape of the rows and never from the machine, since the last
#: bits of a matrix product depend on its number of rows.
_ROWS_PER_BATCH = 4096
_BYTES_PER_BATCH = 16 << 20

#: Rows that are compared to find out whether a transform changes the target.
_ROWS_COMPARED = 64


class Evaluator:
    """Evaluates the model of a split on its evaluation rows, in flat memory.

    Args:
        recipe: the recipe of the split.
        data: the record file that holds the rows.
        model: the weights, from train.
        loading: how rows are loaded; no result depends on it.

    Raises:
        UserError: if the recipe has no evaluation, if the weights were not trained by it, or if the
            file does not hold the rows.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: str | os.PathLike,
        model: str | os.PathLike,
        loading: LoadingSettings | None = None,
    ):
        settings = recipe.training.settings
        torch.set_num_threads(settings.threads)
        set_exactness(settings.reduction == "reproducible")
        self._recipe = recipe
        self._rows = recipe.needed_evaluation().rows
        self._device = choose_device(settings.device)
        self._parts = build_model_parts(recipe.training, self._device)
        load_weights(model, self._parts.model)
        self._parts.model.eval()
        self._dataset = open_rows(
            data,
            recipe.training,
            self._rows,
            transform=self._parts.transform,
            float64=True,
        )
        outputs = self._outputs_of_first_row()
        loss = self._parts.loss
        task = task_of(loss.kind, recipe.training, self._keeps_target())
        self._meaning = OutputMeaning(task, loss.kind, loss.name)
        # A loss of two classes may take one output; the prediction is two probabilities even then.
        self._values_per_prediction = self._meaning.predictions(outputs).shape[1]
        self._loader = self._build_loader(loading or LoadingSettings())

    @property
    def device(self) -> str:
        """The kind of device that evaluates: "cpu" or "cuda"."""
        return self._device.type

    def run(self, predictions: str | os.PathLike, steps: int) -> Evaluation:
        """Write the predictions for all evaluation rows, and return how good they are.

        Args:
            predictions: the file to write, ``predictions.npy``.
            steps: the number of optimizer steps of the training, noted in the evaluation.
        """
        task, rows = self._meaning.task, self._rows.count
        tally = Tally(self._recipe, self._meaning)
        dtype = prediction_dtype(
            task,
            self._values_per_prediction,
            self._recipe.training.targets,
            doubles=self._recipe.training.dtype_of("target") == np.float64,
        )
        with (
            create_predictions(predictions, dtype, rows) as writer,
            Progress("evaluating", rows, "rows") as bar,
        ):
            for batch in self._batches():
                readable = self._meaning.readable(batch.predictions)
                classes = None if readable.classes is None else readable.classes.numpy()
                stored = writer.write(
                    batch.row_numbers, batch.true_values.numpy(), readable.values.numpy(), classes
                )
                tally.add(batch, stored)
                bar.advance(len(batch.row_numbers))
        parameters = count_parameters(self._parts.model)
        facts = ModelFacts(parameters, steps, self._keeps_target())
        return tally.result(facts, predictions)

    @torch.no_grad()
    def _batches(self) -> Iterator[EvaluatedBatch]:
        """Yield all evaluation rows, in order, with the predictions of the model."""
        for row_numbers, batch in zip(self._row_numbers(), self._loader, strict=True):
            assert isinstance(batch, dict), "a record file has named fields"
            moved = self._as_trained(batch)
            outputs = self._parts.model(moved["features"])
            yield EvaluatedBatch(
                row_numbers=row_numbers,
                true_values=self._meaning.true_values(batch["target"]),
                predictions=self._predictions(outputs.cpu()),
                summed_loss=self._summed_loss(outputs, moved).item(),
            )

    def _as_trained(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a batch as the training has it: targets standardized, and float64 as float32."""
        scale = self._parts.target
        if scale is not None:
            target = scale({"target": batch["target"].numpy()})["target"]
            batch = batch | {"target": torch.from_numpy(target)}
        return {
            name: (value.float() if value.dtype == torch.float64 else value).to(self._device)
            for name, value in batch.items()
        }

    def _predictions(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return predictions in the form that metrics take, numbers in the unit of the target."""
        predictions = self._meaning.predictions(outputs)
        scale = self._parts.target
        is_scaled = scale is not None and self._meaning.task == "regression"
        return scale.undone(predictions) if scale and is_scaled else predictions

    def _summed_loss(self, outputs: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the training losses of some rows, a scalar."""
        loss = self._parts.loss
        if isinstance(loss, SummedLoss):
            return loss.sum_losses(outputs, batch["target"])
        return loss(self._parts.model, batch)

    @torch.no_grad()
    def _outputs_of_first_row(self) -> torch.Tensor:
        """Return the outputs of the model for the first evaluation row, (1, outputs)."""
        batch = first_row(self._dataset, self._rows, torch.device("cpu"))
        return self._parts.model(self._as_trained(batch)["features"])

    def _build_loader(self, loading: LoadingSettings) -> BlockLoader:
        feature_bytes = 4 * self._recipe.training.in_features
        # Metrics take predictions in float64.
        bytes_per_row = max(feature_bytes, 8 * self._values_per_prediction)
        return BlockLoader(
            self._dataset,
            max(1, min(_ROWS_PER_BATCH, _BYTES_PER_BATCH // bytes_per_row)),
            shuffle=None,
            ranges=self._rows.ranges,
            reader=loading.reader,
            memory_budget=loading.budget_bytes,
        )

    def _row_numbers(self) -> Iterator[np.ndarray]:
        """Yield the numbers of the rows of every batch, int64 (rows,)."""
        rows, size = self._rows, self._loader.order.batch_size
        for start in range(0, rows.count, size):
            pieces = at_positions(rows.resolved, start, start + size)
            yield np.concatenate([np.arange(*piece) for piece in pieces])

    def _keeps_target(self) -> bool:
        """Return whether the transform leaves the targets of the first rows as they are."""
        first = self._rows.resolved[0]
        rows = range(first.start, min(first.start + _ROWS_COMPARED, first.end))
        plain = MemmapDataset(self._dataset.filename, float64=True).gather(rows)["target"]
        return torch.equal(plain, self._dataset.gather(rows)["target"])
