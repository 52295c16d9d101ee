"""A trained model with all that it takes to use it on new rows, from the folder of its split."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtrain.components.build import ModelParts, build_model_parts
from memtrain.components.device import choose_device
from memtrain.components.encoder import Encoder
from memtrain.components.loss_kinds import task_of
from memtrain.config.results import SplitLayout
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.record_file import dtype_from_json
from memtrain.data.row_decoding import (
    TensorField,
    decode,
    empty_arrays,
    tensor_dtype,
    transform_batch,
)
from memtrain.data.source import FEATURES, PRESENT
from memtrain.evaluation.predictions import prediction_dtype
from memtrain.inference.input_rows import input_columns, read_rows
from memtrain.inference.process_settings import computing_as_evaluated
from memtrain.inference.rebatching import rebatched, without_first
from memtrain.inference.row_predictions import RowPredictions
from memtrain.inference.unusable_values import UnusableValues
from memtrain.metrics.model_outputs import OutputMeaning
from memtrain.metrics.scorer import in_unit_of_target, rows_per_batch
from memtrain.recipes.inputs import InputColumn
from memtrain.recipes.model_file import read_origin
from memtrain.recipes.recipe import Recipe, TaskKind
from memtrain.training.weights import load_weights

#: Rows that show whether a transform changes the target, as many as an evaluation looks at.
_ROWS_COMPARED = 64

_log = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]


def read_model(folder: str | os.PathLike, device: str | None) -> "LoadedModel":
    """Read the model of a split; see ``loading.load_model``."""
    layout = SplitLayout(Path(folder))
    if not layout.recipe.exists():
        raise UserError(
            f"{folder}: there is no {layout.recipe.name} in it. Give the folder of a split, "
            "results/<dataset>/splits/<split>, or a copy of it."
        )
    recipe = Recipe.read(layout.recipe)
    if not layout.model.exists():
        raise UserError(f"{layout.model}: there is no such file. Run snakemake, which trains it.")
    trained_by, own = read_origin(layout.model).made_from.get("recipe"), recipe.digest("training")
    if trained_by != own:
        raise UserError(
            f"{layout.model}: this model was trained by the recipe {trained_by}, but "
            f"{layout.recipe.name} beside it is {own}. Copy both files from the same folder, or "
            "run snakemake, which trains again."
        )
    settings = recipe.training.settings
    chosen = choose_device(device or settings.device)
    with computing_as_evaluated(settings):
        parts = build_model_parts(recipe.training, chosen)
        load_weights(layout.model, parts.model)
    parts.model.eval()
    return LoadedModel(recipe, parts, chosen)


@dataclass(frozen=True)
class PredictedBatch:
    """Predictions of some rows.

    Attributes:
        task: kind of task that the model does.
        values: the predictions, as an evaluation writes them, (rows, values).
        classes: the classes that they belong to, int64 (rows, values); None for all of them.
    """

    task: TaskKind
    values: np.ndarray
    classes: np.ndarray | None


class LoadedModel:
    """A trained model, and what is done to a row on its way to it; from ``load_model``.

    Attributes:
        recipe: the recipe of the split.
        model: the model, a ``torch.nn.Module`` in evaluation mode.
        transform: what is done to a row or batch of the data file before the model sees it; None
            for nothing.
        device: device of the model.
        columns: the columns that rows need; empty where the features have no names.
        class_names: words of the classes, in the order of the classes' numbers; None where there
            are none.
        parts: the model with its loss, and what its training does to the target.
    """

    def __init__(self, recipe: Recipe, parts: ModelParts, device: torch.device):
        self.recipe = recipe
        self.model = parts.model
        self.transform = parts.transform
        self.device = device
        self.columns: list[InputColumn] = input_columns(recipe)
        self.class_names = _class_names(recipe)
        self.parts = parts

    @property
    def encoder(self) -> Encoder | None:
        """What makes features of the fields of a record; None where they are features already."""
        encoding = self.recipe.training.encoding
        return Encoder(encoding) if encoding else None

    def predict(self, rows: Any) -> RowPredictions:
        """Return what the model predicts for new rows.

        Rows of the data file get the bytes that ``predictions.npy`` has for them, as long as they
        are all evaluation rows in their order: the last bits of a prediction may depend on the
        rows that go through the model together.

        Args:
            rows: raw columns as they were imported, with words, dates and missing values: a pandas
                DataFrame, a pyarrow Table, another table that offers itself to Arrow, or a dict of
                arrays by column. The target may be among the columns, and is not looked at. Or, for
                a model whose features are numbers of one type: an array of them, (rows, ...).

        Raises:
            UserError: if the columns or their values are not such as the model was trained on, or
                a row of it is a sequence of elements.
        """
        self.refuse_unknown_rows()
        given = read_rows(rows, self.recipe.training, self.columns)
        step = rows_per_batch(self.recipe.training.in_features, 1)
        unknown: Counter[str] = Counter()
        batches = list(
            self.predict_records(
                lambda: (given.records(at, at + step) for at in range(0, given.count, step)),
                unknown,
            )
        )
        warn_of_unknown_words(unknown)
        numbers = [batch.classes for batch in batches if batch.classes is not None]
        return RowPredictions(
            values=np.concatenate([batch.values for batch in batches]),
            task=batches[0].task,
            target=self.recipe.training.task.target,
            class_names=self.class_names,
            class_numbers=np.concatenate(numbers) if numbers else None,
            unknown_words=dict(unknown),
        )

    def refuse_unknown_rows(self) -> None:
        """Refuse a model of rows that cannot be made of new rows here.

        Raises:
            UserError: if the rows vary in length, have elements with a class each, or further
                fields.
        """
        training = self.recipe.training
        fields = dtype_from_json(training.task.dtype).names or ()
        own = {column.field for column in self.columns} | {FEATURES, PRESENT, "target"}
        further = sorted(set(fields) - own)
        what = (
            f"rows that vary in length ({listed(training.task.ragged)})"
            if training.task.ragged
            else "rows of several elements, each with a class"
            if training.has_sequences
            else f"rows with further fields ({listed(further)})"
        )
        if training.task.ragged or training.has_sequences or further:
            raise UserError(
                f"{self.recipe.split}: this model was trained on {what}, for which there is no "
                "`predict`. Call its `model` with features of your own."
            )

    def predict_records(
        self, read: Callable[[], Iterator[np.ndarray]], unknown: Counter[str], done: int = 0
    ) -> Iterator["PredictedBatch"]:
        """Yield the predictions of rows of the data file, in the batches of an evaluation.

        PyTorch computes as in an evaluation until the last batch was taken.

        Args:
            read: reads all rows, again each time it is called, in pieces of any size: records,
                (rows,), of at least one row in all. Their targets are not looked at.
            unknown: counts the rows with words that no training row has, by column.
            done: rows that are not predicted again, which were yielded before in whole batches.
        """
        training = self.recipe.training
        with torch.no_grad(), computing_as_evaluated(training.settings):
            first = next(rebatched(read(), _ROWS_COMPARED))
            meaning = self._meaning(first)
            outputs, example = self._predict(meaning, self._tensors(first[:1]))
            values = max(example.shape[1], outputs[0].numel())
            dtype = prediction_dtype(
                meaning.task,
                example.shape[1],
                training.targets,
                doubles=training.dtype_of("target") == np.float64,
            )["prediction"].base
            size = rows_per_batch(training.in_features, values)
            usable, row = UnusableValues(training, self.columns), done
            for records in rebatched(without_first(read(), done), size):
                usable.refuse(records, row)
                row += len(records)
                unknown.update(self._unknown_words(records))
                readable = meaning.readable(self._predict(meaning, self._tensors(records))[1])
                with np.errstate(over="ignore"):
                    numbers = readable.values.numpy().astype(dtype)
                classes = None if readable.classes is None else readable.classes.numpy()
                yield PredictedBatch(meaning.task, numbers, classes)

    def _meaning(self, records: np.ndarray) -> OutputMeaning:
        """Return what the outputs of the model mean, as an evaluation finds it out of some rows."""
        arrays = decoded(_with_targets(records, self.recipe))
        plain = arrays["target"].copy()
        target = self._transformed(arrays).get("target")
        keeps_target = target is not None and np.array_equal(plain, target.numpy())
        loss = self.parts.loss
        task = task_of(loss.kind, self.recipe.training, keeps_target)
        return OutputMeaning(task, loss.kind, loss.name)

    def _predict(self, meaning: OutputMeaning, batch: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs of the model, and the predictions in the form that metrics take."""
        features = batch["features"]
        if features.dtype == torch.float64:
            features = features.float()
        outputs = self.model(features.to(self.device)).cpu()
        predictions = meaning.predictions(outputs, batch["target"])
        return outputs, in_unit_of_target(self.parts, meaning, predictions)

    def _tensors(self, records: np.ndarray) -> Tensors:
        return self._transformed(decoded(_with_targets(records, self.recipe)))

    def _transformed(self, arrays: dict[str, np.ndarray]) -> Tensors:
        batch = transform_batch(self.transform, arrays, doubles=True)
        assert isinstance(batch, dict), "a record has named fields"
        return batch

    def _unknown_words(self, records: np.ndarray) -> dict[str, int]:
        """Return how many rows have a word that the training rows lack, by column."""
        encoding = self.recipe.training.encoding
        counts: dict[str, int] = {}
        for column in encoding.columns if encoding else ():
            if column.size:
                codes = records[column.field].reshape(len(records), -1)[:, column.start]
                is_known = np.isin(codes, np.array([0, *column.codes], np.int64))
                counts[column.column] = int((~is_known).sum())
        return {name: count for name, count in counts.items() if count}


def _class_names(recipe: Recipe) -> list[str] | None:
    if recipe.inputs is not None:
        return recipe.inputs.class_names
    return recipe.evaluation.class_names if recipe.evaluation else None


def warn_of_unknown_words(unknown: Mapping[str, int]) -> None:
    """Tell how many rows have words that no training row has, by column."""
    if unknown:
        found = listed(f"{count:,} of {name}" for name, count in unknown.items())
        _log.warning(
            f"rows have words that no training row has ({found}). The model sees them as no word "
            "at all: 0 in every column of a one-hot, or the code 0."
        )


def _with_targets(records: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return rows with targets that training rows have, for transforms that look at them.

    They are the smallest and the largest one in turn.
    """
    records = records.copy()
    shape = recipe.training.target_shape
    statistics = recipe.training.statistics_of("target")
    for start, values in enumerate((statistics.minimum, statistics.maximum)):
        records["target"][start::2] = np.nan_to_num(values, posinf=0, neginf=0).reshape(shape)
    return records


def decoded(records: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows of the data file as a dataset decodes them: an array of every field."""
    dtype = records.dtype
    fields = {
        name: TensorField(tensor_dtype("rows", dtype[name].base, doubles=True), dtype[name].shape)
        for name in dtype.names or ()
    }
    arrays = empty_arrays(fields, len(records))
    assert isinstance(arrays, dict), "a record has named fields"
    decode(records, arrays)
    return arrays
