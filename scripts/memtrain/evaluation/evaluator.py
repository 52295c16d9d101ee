"""Runs a trained model over the evaluation rows of its split."""

import logging
import os
from collections.abc import Iterator

import numpy as np
import torch

from memtrain.components.build import build_model_parts
from memtrain.components.device import choose_device, set_exactness
from memtrain.components.models import count_parameters
from memtrain.components.rows import open_rows
from memtrain.config.running import LoadingSettings
from memtrain.core.ranges import at_positions
from memtrain.evaluation.predictions import (
    PredictionsWriter,
    create_predictions,
    prediction_dtype,
    sequence_dtype,
)
from memtrain.evaluation.result import Evaluation
from memtrain.evaluation.tally import EvaluatedBatch, ModelFacts, Tally
from memtrain.evaluation.training_classes import training_class_counts
from memtrain.loading.block_loader import BlockLoader
from memtrain.metrics.metric_inputs import model_columns
from memtrain.metrics.scorer import Scorer
from memtrain.recipes.recipe import Recipe
from memtrain.system.progress import Progress
from memtrain.training.weights import load_weights

_log = logging.getLogger(__name__)


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
        self._data = data
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
        self._scorer = Scorer(recipe.training, self._parts, self._dataset, self._rows, self._device)
        self._meaning = self._scorer.meaning
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
        rows = self._rows.count
        _log.info(f"reader: {self._loader.reading}")
        tally = Tally(self._recipe, self._meaning, self._class_counts())
        with (
            create_predictions(predictions, self._dtype, rows) as writer,
            Progress("evaluating", rows, "rows") as bar,
        ):
            for batch in self._batches():
                tally.add(batch, self._write(writer, batch))
                bar.advance(len(batch.row_numbers))
        parameters = count_parameters(self._parts.model)
        facts = ModelFacts(parameters, steps, self._scorer.keeps_target)
        return tally.result(facts, predictions)

    def _class_counts(self) -> np.ndarray | None:
        """Return how often each class occurs in the training targets; None where it is not used."""
        is_used = self._meaning.task in ("classification", "sequence") and self._scorer.keeps_target
        return training_class_counts(self._recipe, self._data) if is_used else None

    def _write(self, writer: PredictionsWriter, batch: EvaluatedBatch) -> np.ndarray:
        """Write the predictions of a batch; return them as the tally takes them."""
        if self._keeps_qualities:
            writer.write_sequences(batch.row_numbers, **self._qualities(batch))
            return batch.predictions.flatten(1).numpy()
        readable = self._meaning.readable(batch.predictions)
        classes = None if readable.classes is None else readable.classes.numpy()
        return writer.write(
            batch.row_numbers, batch.true_values.numpy(), readable.values.numpy(), classes
        )

    def _qualities(self, batch: EvaluatedBatch) -> dict[str, np.ndarray]:
        """Return cross entropy and accuracy of sequences, float64 (rows,); {} where not known."""
        if self._meaning.task != "sequence":
            return {}
        columns = model_columns(self._meaning, batch.predictions, batch.true_values, batch.mask)
        return {
            "cross_entropy": -columns["log_probability"][:, 0].numpy(),
            "accuracy": columns["is_right"][:, 0].numpy(),
        }

    @property
    def _keeps_qualities(self) -> bool:
        """Whether how good the predictions of a row are is written, and not the predictions."""
        return self._recipe.training.has_sequences or self._recipe.training.has_ragged_target

    @property
    def _dtype(self) -> np.dtype:
        """The dtype of one record of the predictions."""
        training = self._recipe.training
        if self._keeps_qualities:
            return sequence_dtype(is_known=self._meaning.task == "sequence")
        return prediction_dtype(
            self._meaning.task,
            self._scorer.values_per_prediction,
            training.targets,
            doubles=training.dtype_of("target") == np.float64,
        )

    def _batches(self) -> Iterator[EvaluatedBatch]:
        """Yield all evaluation rows, in order, with the predictions of the model."""
        for row_numbers, batch in zip(self._row_numbers(), self._loader, strict=True):
            assert isinstance(batch, dict), "a record file has named fields"
            scored = self._scorer.score(batch)
            yield EvaluatedBatch(
                row_numbers=row_numbers,
                true_values=scored.true_values,
                predictions=scored.predictions,
                summed_loss=scored.summed_loss,
                loss_count=scored.loss_count,
                mask=scored.mask,
            )

    def _build_loader(self, loading: LoadingSettings) -> BlockLoader:
        return BlockLoader(
            self._dataset,
            self._scorer.rows_per_batch,
            shuffle=None,
            ranges=self._rows.ranges,
            reader=loading.reader,
            mapped_files=loading.most_mapped,
            memory_budget=loading.budget_bytes,
        )

    def _row_numbers(self) -> Iterator[np.ndarray]:
        """Yield the numbers of the rows of every batch, int64 (rows,)."""
        rows, size = self._rows, self._loader.order.batch_size
        for start in range(0, rows.count, size):
            pieces = at_positions(rows.resolved, start, start + size)
            yield np.concatenate([np.arange(*piece) for piece in pieces])
