"""``split.json``: the recipe of one training and its evaluation, complete.

A recipe holds everything that the result depends on: the ranges with the digests of exactly their
rows, what the rows mean, the statistics of the training rows, every setting. Its two parts have
digests of their own, and a change of digest is what trains or evaluates again; so a part holds
nothing that its result does not depend on, such as the number of rows in the whole file.
"""

import os
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from memtrain.config.schema import EvaluationSettings
from memtrain.config.training import TrainingSettings
from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, count_rows
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.record_file import dtype_from_json
from memtrain.system import canonical_json


class Piece(Settings):
    """Rows ``[start, end)``, cut at the shard borders, and the digest of their bytes."""

    start: int
    end: int
    digest: str

    @property
    def rows(self) -> Range:
        """The rows ``[start, end)``."""
        return Range(self.start, self.end)


class Rows(Settings):
    """The rows of a training or of an evaluation."""

    ranges: list[tuple[int, int]]
    pieces: list[Piece]

    @property
    def resolved(self) -> list[Range]:
        """The ranges."""
        return [Range(*pair) for pair in self.ranges]

    @property
    def count(self) -> int:
        """The number of rows."""
        return count_rows(self.resolved)


class Task(Settings):
    """What the rows of the file mean."""

    kind: Literal["regression", "classification"]
    classes: int | None
    dtype: Any
    features: list[str]
    target: list[str]


class Sizes(Settings):
    """What follows from the rows and the settings; shown before the first step."""

    rows: int
    micro_batches_per_epoch: int
    steps_per_epoch: int
    steps: int
    rows_per_step: int


class ShuffleSummary(Settings):
    """How well the settings mix the training rows; nothing that the weights depend on.

    Attributes:
        rows_per_block: rows that are read in one go, side by side.
        blocks_per_buffer: blocks whose rows are mixed.
        permutes_all_rows: whether all rows fit into one buffer, and every order is as likely.
        in_random_order: whether the rows lie in random order on the disk already.
        batch_variance: the variance of a batch's mean over that of a uniform shuffle, for rows
            that lie sorted by the target (in random order: 1).
    """

    rows_per_block: int
    blocks_per_buffer: int
    permutes_all_rows: bool
    in_random_order: bool
    batch_variance: float


class ResourceEstimate(Settings):
    """The memory and the work of a training, estimated; the weights do not depend on it.

    Attributes:
        loading_bytes: largest memory of the shuffle buffers and batches.
        model_bytes: memory of the weights, the gradients and the optimizer's state.
        row_bytes: size of one row of the data.
        bytes_per_row: memory that the forward pass keeps for each row of a micro-batch.
        operations_per_row: floating-point operations of one forward and one backward pass;
            only matrix products and their sums are counted.
    """

    loading_bytes: int
    model_bytes: int
    row_bytes: int
    bytes_per_row: int
    operations_per_row: int


class TrainingRecipe(Settings):
    """Everything that the weights depend on, but for the code."""

    rows: Rows
    task: Task
    statistics: dict[str, Any]
    settings: TrainingSettings
    sizes: Sizes

    def statistics_of(self, field: str) -> FieldStatistics:
        """Return the statistics of a field over the training rows."""
        return FieldStatistics.from_json(self.statistics[field])

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of the features of one row."""
        return self._field("features").shape

    @property
    def in_features(self) -> int:
        """How many numbers the features of a row are."""
        return int(np.prod(self.feature_shape, dtype=np.int64))

    @property
    def targets(self) -> int:
        """How many numbers the target of a row is."""
        return int(np.prod(self._field("target").shape, dtype=np.int64))

    @property
    def row_bytes(self) -> int:
        """The bytes of one row."""
        return dtype_from_json(self.task.dtype).itemsize

    def _field(self, name: str) -> np.dtype:
        return dtype_from_json(self.task.dtype)[name]


class EvaluationRecipe(Settings):
    """Everything that the evaluation depends on, but for the model and the code."""

    rows: Rows
    settings: EvaluationSettings
    lowest_loss: float | None
    class_names: list[str] | None


class Recipe(Settings):
    """The recipe of a split.

    Attributes:
        split: its name.
        training: the part that the weights depend on.
        evaluation: the part that the evaluation adds.
        shuffle: how well the training rows are mixed. In no part.
        resource_estimate: memory and work of the training. In no part.
        shards: id and digest of every shard that the rows touch. In no part: another row of a
            shard that is touched at its edge changes this and nothing else.
        rows_per_shard: of the manifest; pieces are cut at its multiples. In no part either.
        withdrawn: rows that were configured, and left out since they are withdrawn. In no part.
    """

    split: str
    training: TrainingRecipe
    evaluation: EvaluationRecipe
    shuffle: ShuffleSummary
    resource_estimate: ResourceEstimate
    shards: dict[str, str]
    rows_per_shard: int
    withdrawn: list[tuple[int, int]]

    @property
    def training_and_evaluation_rows(self) -> list[Range]:
        """All ranges of rows that the recipe speaks of."""
        return [*self.training.rows.resolved, *self.evaluation.rows.resolved]

    def write(self, path: str | os.PathLike) -> None:
        """Write the recipe as canonical JSON."""
        canonical_json.write(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Recipe":
        """Read what ``write`` wrote."""
        content = canonical_json.read(path, made_by="resolve_splits")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(
                f"{path}: this is not a recipe of this version of memtrain "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}). Remove it and run "
                "resolve_splits again."
            ) from None

    def digest(self, part: Literal["training", "evaluation"]) -> str:
        """Return the digest of a part: the same as ``read_recipe_facts`` finds in the file."""
        return canonical_json.digest(getattr(self, part).model_dump(mode="json"))
