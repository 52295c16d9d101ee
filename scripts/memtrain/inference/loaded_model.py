"""A trained model with all that it takes to use it on new rows, from the folder of its split."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtrain.components.build import ModelParts, build_model_parts
from memtrain.components.device import choose_device
from memtrain.components.encoder import Encoder
from memtrain.components.loss_kinds import task_of
from memtrain.components.losses import Loss
from memtrain.config.results import SplitLayout
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.record_file import dtype_from_json
from memtrain.data.source import FEATURES, PRESENT
from memtrain.inference.batch_predictor import ROWS_COMPARED, BatchPredictor, PredictedBatch
from memtrain.inference.element_predictions import ElementPredictions
from memtrain.inference.input_rows import InputRows, input_columns, read_rows
from memtrain.inference.joined_predictions import joined_predictions
from memtrain.inference.process_settings import computing_as_evaluated
from memtrain.inference.ragged_input import RaggedInput, read_ragged_rows
from memtrain.inference.rebatching import Rows, rebatched, without_first
from memtrain.inference.row_predictions import RowPredictions
from memtrain.inference.unusable_values import UnusableValues
from memtrain.metrics.scorer import rows_per_batch
from memtrain.recipes.inputs import InputColumn
from memtrain.recipes.model_file import read_origin
from memtrain.recipes.recipe import Recipe, TrainingRecipe
from memtrain.training.weights import load_weights

_log = logging.getLogger(__name__)


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

    def predict(self, rows: Any) -> RowPredictions | ElementPredictions:
        """Return what the model predicts for new rows.

        Rows of the data file get the bytes that ``predictions.npy`` has for them, as long as they
        are all evaluation rows in their order: the last bits of a prediction may depend on the
        rows that go through the model together.

        Args:
            rows: raw columns as they were imported, with words, dates and missing values: a pandas
                DataFrame, a pyarrow Table, another table that offers itself to Arrow, or a dict of
                arrays by column. The target may be among the columns, and is not looked at. Or, for
                a model whose features are numbers of one type: an array of them, (rows, ...). Of
                rows that vary in length, a list of arrays, each (elements, ...); a list array of
                Arrow; or a table with a column of lists.

        Returns:
            A prediction for every row; ``ElementPredictions`` where the model predicts every
            element of a row.

        Raises:
            UserError: if the columns or their values are not such as the model was trained on.
        """
        self.refuse_unknown_rows()
        given = self._given(rows)
        unknown: Counter[str] = Counter()
        step = rows_per_batch(self.recipe.training.in_features * given.longest, 1)
        batches = list(self.predict_rows(lambda: given.pieces(step), unknown, given.longest))
        warn_of_unknown_words(unknown)
        return joined_predictions(
            batches, self.recipe.training, self.class_names, unknown_words=dict(unknown)
        )

    def _given(self, rows: Any) -> InputRows | RaggedInput:
        training = self.recipe.training
        if training.task.ragged:
            return read_ragged_rows(rows, training)
        return read_rows(rows, training, self.columns)

    def refuse_unknown_rows(self) -> None:
        """Refuse a model of rows that cannot be made of new rows here, or without a meaning.

        Raises:
            UserError: if the rows have further fields, or lengths that nothing says.
        """
        what = self.unknown_rows()
        if what:
            raise UserError(
                f"{self.recipe.split}: this model {what}, for which there is no `predict`. Call "
                "its `model` with features of your own."
            )

    def unknown_rows(self) -> str | None:
        """Return what is unknown of the rows of this model, or of its outputs; None for nothing."""
        training = self.recipe.training
        return _unknown_rows(training, self.columns) or _unknown_meaning(training, self.parts.loss)

    def predict_rows(
        self,
        read: Callable[[], Iterator[Rows]],
        unknown: Counter[str],
        longest: int = 1,
        done: int = 0,
    ) -> Iterator[PredictedBatch]:
        """Yield the predictions of rows of the data file, in the batches of an evaluation.

        PyTorch computes as in an evaluation until the last batch was taken.

        Args:
            read: reads all rows, again each time it is called, in pieces of any size: records,
                (rows,), whose targets are not looked at; or the features of rows that vary in
                length. There is at least one row in all.
            unknown: counts the rows with words that no training row has, by column.
            longest: elements of the longest row; 1 where rows do not vary in length.
            done: rows that are not predicted again, which were yielded before in whole batches.
        """
        training = self.recipe.training
        with torch.no_grad(), computing_as_evaluated(training.settings):
            first = next(rebatched(read(), ROWS_COMPARED))
            predictor = BatchPredictor(training, self.parts, self.device, first, longest)
            usable, row = UnusableValues(training, self.columns), done
            for rows in rebatched(without_first(read(), done), predictor.rows_per_batch):
                usable.refuse(rows, row)
                row += len(rows)
                if isinstance(rows, np.ndarray):
                    unknown.update(self._unknown_words(rows))
                yield predictor.predict(rows)

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


def _unknown_rows(training: TrainingRecipe, columns: Sequence[InputColumn]) -> str | None:
    """Return what is unknown of the rows of a model; None if nothing is."""
    ragged = training.task.ragged
    if ragged and FEATURES not in ragged:
        return f"predicts targets that vary in length ({listed(ragged)}) for rows that do not"
    fields = dtype_from_json(training.task.dtype).names or ()
    own = {column.field for column in columns} | {FEATURES, PRESENT, "target"}
    further = sorted(set(fields) - own)
    return f"was trained on rows with further fields ({listed(further)})" if further else None


def _unknown_meaning(training: TrainingRecipe, loss: Loss) -> str | None:
    """Return what is unknown of what a model predicts for elements; None if nothing is."""
    is_sequence = task_of(loss.kind, training, True) == "sequence"
    if training.has_sequences and not is_sequence:
        return f"gives outputs for every element whose meaning its loss {loss.name} does not say"
    return None
