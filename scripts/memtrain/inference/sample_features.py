"""Features to try an exported model on: those of rows, or drawn from the recipe's statistics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtrain.core.ranges import Range, at_positions
from memtrain.data.record_file import dtype_from_json
from memtrain.data.source import FEATURES
from memtrain.inference.decoded_rows import decoded
from memtrain.inference.loaded_model import LoadedModel
from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.inference.rebatching import rebatched
from memtrain.inference.row_files import open_rows_of_files

#: Rows that a model and its export are compared on.
_ROWS = 1000

#: Elements of the longest row that is drawn, where rows vary in length.
_LONGEST = 24

#: Standard deviations from the mean that drawn features may have.
_SPREAD = 3.0


@dataclass(frozen=True)
class SampleFeatures:
    """Features as the data file has them, with words and times encoded.

    Attributes:
        values: (rows, ...), or those of rows that vary in length.
        use: what their rows are for: "evaluation" or "training"; None where they are drawn.
    """

    values: np.ndarray | RaggedFeatures
    use: str | None

    def text_of(self, rows: int) -> str:
        """Return what some of them are, for people."""
        if self.use is None:
            return "rows drawn from the statistics of the training rows"
        return f"{rows:,} {self.use} rows"


def sample_features(model: LoadedModel, data: Path | None) -> SampleFeatures:
    """Return features of the first evaluation rows, or of training rows; or drawn ones.

    Args:
        model: the model.
        data: the data file; None where it is not there.

    Raises:
        UserError: if the data file is another one than that of the model.
    """
    if data is None:
        return SampleFeatures(_drawn(model), None)
    recipe = model.recipe
    use = "evaluation" if recipe.evaluation else "training"
    rows = recipe.evaluation.rows if recipe.evaluation else recipe.training.rows
    first = [Range(*pair) for pair in rows.ranges]
    bounds = [(one.start, one.end) for one in at_positions(first, 0, _ROWS)]
    opened = open_rows_of_files(model, str(data), bounds)
    found = next(rebatched(opened.read(), _ROWS))
    values = found if isinstance(found, RaggedFeatures) else _encoded(model, found)
    return SampleFeatures(values, use)


def _encoded(model: LoadedModel, records: np.ndarray) -> np.ndarray:
    """Return the features of records, (rows, ...), words and times encoded."""
    encoder = model.encoder
    arrays = decoded(records)
    return (encoder(arrays) if encoder else arrays)[FEATURES]


def _drawn(model: LoadedModel) -> np.ndarray | RaggedFeatures:
    if model.recipe.training.task.ragged:
        lengths = np.random.default_rng(1).integers(0, _LONGEST, _ROWS, endpoint=True)
        return RaggedFeatures(_drawn_rows(model, int(lengths.sum())), lengths)
    return _drawn_rows(model, _ROWS)


def _drawn_rows(model: LoadedModel, rows: int) -> np.ndarray:
    """Return drawn features of rows, or of their elements, where rows vary in length."""
    training = model.recipe.training
    statistics = training.statistics_of("features")
    encoding = training.encoding
    dtype = np.dtype(encoding.dtype) if encoding else _dtype_of_features(model)
    generator = np.random.default_rng(0)
    shape = (rows, len(statistics.mean))
    deviation = np.nan_to_num(statistics.standard_deviation)
    drawn = statistics.mean + deviation * generator.uniform(-_SPREAD, _SPREAD, shape)
    drawn = np.clip(drawn, statistics.minimum, statistics.maximum)
    values = np.nan_to_num(drawn, posinf=0, neginf=0)
    if dtype.kind in "iub":
        values = np.rint(values)
    return values.astype(dtype).reshape(rows, *training.feature_shape)


def _dtype_of_features(model: LoadedModel) -> np.dtype:
    """Return the dtype of features as a dataset decodes them."""
    record = np.zeros(1, dtype_from_json(model.recipe.training.task.dtype))
    return decoded(record)[FEATURES].dtype
