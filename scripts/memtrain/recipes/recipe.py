"""``split.json``: the complete recipe of one training and, if there is one, of its evaluation.

A recipe holds everything that the result depends on: the ranges with the digests of exactly their
rows, the meaning of the rows, the statistics of the training rows, and every setting. Its parts
``training`` and ``evaluation`` have a digest each, and when a digest changes, the split is trained
or evaluated again. So these parts hold nothing that their result does not depend on, such as the
number of rows in the whole file.
"""

import os
from math import prod
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from memtrain.config.evaluation import EvaluationSettings
from memtrain.config.training import TrainingSettings
from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, count_rows
from memtrain.core.shard_grid import ONE_SECTION, ShardGrid
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.record_file import dtype_from_json
from memtrain.recipes.encoding import Encoding
from memtrain.recipes.inputs import Inputs
from memtrain.system import canonical_json, checked_json

#: Kinds of task that a model does. For "binary", every target is one of two labels, yes or no. For
#: "sequence", a row has several elements, such as tokens, and every element has a class. For
#: "other", nobody has said what the outputs mean: an autoencoder, for example, reproduces the
#: features.
TaskKind = Literal["regression", "classification", "binary", "sequence", "other"]


class Piece(Settings):
    """Rows ``[start, end)`` of one shard, and the digest of their bytes.

    Attributes:
        start: number of the first row.
        end: number of the row after the last.
        digest: digest of the bytes, with the name of its algorithm: "sha256:...".
    """

    start: int
    end: int
    digest: str

    @property
    def rows(self) -> Range:
        """The rows ``[start, end)``."""
        return Range(self.start, self.end)


class Rows(Settings):
    """The rows of a training or of an evaluation.

    Attributes:
        ranges: ranges ``[start, end)`` of the rows.
        pieces: the same rows, cut at the borders of the shards.
    """

    ranges: list[tuple[int, int]]
    pieces: list[Piece]

    @property
    def resolved(self) -> list[Range]:
        """The ranges, as ``Range``."""
        return [Range(*pair) for pair in self.ranges]

    @property
    def count(self) -> int:
        """The number of rows."""
        return count_rows(self.resolved)


class Task(Settings):
    """What the rows of the file mean.

    Attributes:
        kind: whether the target is a number or a class.
        classes: number of classes; None for numbers.
        dtype: dtype of a row, as ``dtype_to_json`` describes it.
        features: names of the features that the model sees.
        target: names of the target columns.
        row_bytes: size of a row in the files, from which the sizes of blocks and buffers follow;
            None where it is that of ``dtype``. It is the mean of the training rows where they vary.
        ragged: fields whose rows vary in length; ``dtype`` has one element of them.
    """

    kind: Literal["regression", "classification"]
    classes: int | None
    dtype: Any
    features: list[str]
    target: list[str]
    row_bytes: int | None = Field(default=None, exclude_if=lambda size: size is None)
    ragged: list[str] = Field(default_factory=list, exclude_if=lambda names: not names)

    @property
    def class_count(self) -> int:
        """The number of classes of a classification.

        Raises:
            ValueError: if the task is a regression.
        """
        if self.classes is None:
            raise ValueError("a regression has no classes")
        return self.classes


class Sizes(Settings):
    """Numbers that follow from the rows and the settings; users see them before training begins.

    Attributes:
        rows: number of training rows.
        micro_batches_per_epoch: number of micro-batches in one epoch.
        steps_per_epoch: number of optimizer steps in one epoch.
        steps: number of optimizer steps of the whole training.
        rows_per_step: number of rows of a full accumulation window.
        steps_per_validation: number of optimizer steps between two validations; 0 for a training
            without validation.
    """

    rows: int
    micro_batches_per_epoch: int
    steps_per_epoch: int
    steps: int
    rows_per_step: int
    steps_per_validation: int = 0

    @property
    def validations(self) -> int:
        """The number of validations: the last one comes after the last step, in any case."""
        return -(-self.steps // self.steps_per_validation) if self.steps_per_validation else 0

    def is_validated_after(self, step: int) -> bool:
        """Return whether the model is validated after a step: 1, 2, ..."""
        every = self.steps_per_validation
        return bool(every) and (step % every == 0 or step == self.steps)


class ShuffleSummary(Settings):
    """How well the settings mix the training rows, for information: no result depends on it.

    Attributes:
        rows_per_block: number of consecutive rows that are read at once.
        blocks_per_buffer: number of blocks whose rows are mixed.
        permutes_all_rows: whether all rows fit into one shuffle buffer, so that every order is
            equally likely.
        in_random_order: whether the rows already lie in random order on the disk.
        batch_variance: variance of the mean of a batch, relative to a uniform shuffle. It holds
            for rows that lie sorted by the target; rows in random order have 1.
    """

    rows_per_block: int
    blocks_per_buffer: int
    permutes_all_rows: bool
    in_random_order: bool
    batch_variance: float


class ResourceEstimate(Settings):
    """The estimated memory and work of a training; the weights do not depend on it.

    Attributes:
        loading_bytes: most memory that the shuffle buffers and batches take.
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
    """Everything that the weights depend on, except the code.

    Attributes:
        rows: the training rows.
        validation: the rows that the model is validated on while it trains; None for none. They
            are in this part although they change no weight, as long as nothing is decided by them:
            what the validations found is a result of the training, beside the weights.
        task: what the rows mean.
        statistics: statistics of the features and of every other field over the training rows, as
            ``FieldStatistics`` writes them, by name.
        settings: settings of the training.
        encoding: how features come from the fields of a record; None where one field holds them.
        fills: what takes the place of a missing value of each feature; None for nothing. Empty
            where nothing is filled.
        sizes: numbers that follow from the rows and the settings.
        files: digests of the files besides the rows that the training reads, by path: those of
            ``settings.files``; not written where there are none.
    """

    rows: Rows
    task: Task
    statistics: dict[str, Any]
    settings: TrainingSettings
    sizes: Sizes
    encoding: Encoding | None = None
    fills: list[float | None] = Field(default_factory=list)
    validation: Rows | None = None
    files: dict[str, str] = Field(default_factory=dict, exclude_if=lambda files: not files)

    @property
    def pieces(self) -> list[Piece]:
        """All rows that the training reads, those of the validation last, cut at shards."""
        return [*self.rows.pieces, *(self.validation.pieces if self.validation else ())]

    def statistics_of(self, field: str) -> FieldStatistics:
        """Return the statistics of a field over the training rows, for every value of a row."""
        columns = self.in_features if field == "features" else prod(self._field(field).shape)
        return FieldStatistics.from_json(self.statistics[field]).spread(columns)

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of the features of one row, as the model sees them.

        Where rows vary in length, it is the shape of one element.
        """
        if self.encoding is not None:
            return (len(self.task.features),)
        return self._field("features").shape

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of the target of one row; of one element, where rows vary in length."""
        return self._field("target").shape

    def dtype_of(self, field: str) -> np.dtype:
        """Return the dtype of the target, as the data file holds it, or of the features."""
        if field == "features" and self.encoding is not None:
            return np.dtype(self.encoding.dtype)
        return self._field(field).base

    @property
    def in_features(self) -> int:
        """The number of values in the features of one row."""
        return int(np.prod(self.feature_shape, dtype=np.int64))

    @property
    def category_sizes(self) -> dict[int, int]:
        """How many codes there are (the largest and one), by the position of the feature."""
        sizes: dict[int, int] = {}
        position = 0
        for column in self.encoding.columns if self.encoding else ():
            if column.kind == "codes":
                sizes[position] = column.size
            position += column.features
        return sizes

    @property
    def targets(self) -> int:
        """The number of values in the target of one row."""
        return int(np.prod(self.target_shape, dtype=np.int64))

    @property
    def has_sequences(self) -> bool:
        """Whether a row has several elements, each with a class."""
        return self.task.kind == "classification" and (self.targets > 1 or self.has_ragged_target)

    @property
    def has_ragged_target(self) -> bool:
        """Whether the targets of the rows vary in length."""
        return "target" in self.task.ragged

    @property
    def row_bytes(self) -> int:
        """The size of one row in the files, in bytes; the mean where rows vary in length."""
        if self.task.row_bytes is not None:
            return self.task.row_bytes
        return dtype_from_json(self.task.dtype).itemsize

    def _field(self, name: str) -> np.dtype:
        return dtype_from_json(self.task.dtype)[name]


class EvaluationRecipe(Settings):
    """Everything that the evaluation depends on, except the model and the code.

    Attributes:
        rows: the evaluation rows.
        settings: settings of the evaluation.
        lowest_loss: lowest mean loss that any model can reach on the rows; None where unknown.
        class_names: words of the classes, in the order of the classes' numbers; None where there
            are none.
    """

    rows: Rows
    settings: EvaluationSettings
    lowest_loss: float | None
    class_names: list[str] | None


class Recipe(Settings):
    """The recipe of a split.

    No result depends on anything but the two parts, ``training`` and ``evaluation``.

    Attributes:
        split: name of the split.
        training: part that the weights depend on.
        evaluation: part that the evaluation depends on in addition; None where the model is not
            evaluated.
        shuffle: how well the training rows are mixed.
        resource_estimate: memory and work of the training.
        shards: digest of every shard that the rows touch, by the shard's number. A change of a row
            that the split does not use changes its shard's digest, but neither of the two parts.
        rows_per_shard: number of rows of a shard of the manifest.
        shard_sections: the rows at which the count of shards begins anew, with the shard that
            begins there, as far as pieces reach; not written for rows that lie in one file.
        withdrawn: configured rows that are left out because they are withdrawn.
        unknown_words: number of evaluation rows with a word that no training row has, by column.
        inputs: how a row of the tables becomes a row of the data file, and the words of the
            classes, so that a model can be used without the data; not written for rows that were
            not imported.
        made_from: digests of what the recipe was made from; see ``data.made_from``.
    """

    split: str
    training: TrainingRecipe
    evaluation: EvaluationRecipe | None
    shuffle: ShuffleSummary
    resource_estimate: ResourceEstimate
    shards: dict[str, str]
    rows_per_shard: int
    shard_sections: list[tuple[int, int]] = Field(
        default=list(ONE_SECTION), exclude_if=lambda sections: tuple(sections) == ONE_SECTION
    )
    withdrawn: list[tuple[int, int]]
    unknown_words: dict[str, int] = Field(default_factory=dict)
    inputs: Inputs | None = Field(default=None, exclude_if=lambda inputs: inputs is None)
    made_from: dict[str, str] = Field(default_factory=dict)

    @property
    def grid(self) -> ShardGrid:
        """Where the rows are cut into shards."""
        return ShardGrid(self.rows_per_shard, tuple(self.shard_sections))

    @property
    def training_and_evaluation_rows(self) -> list[Range]:
        """The ranges of the rows that are trained, validated and evaluated on."""
        validated = self.training.validation.resolved if self.training.validation else []
        evaluated = self.evaluation.rows.resolved if self.evaluation else []
        return [*self.training.rows.resolved, *validated, *evaluated]

    def needed_evaluation(self) -> EvaluationRecipe:
        """Return the part that an evaluation depends on.

        Raises:
            UserError: if the split has no rows to evaluate on.
        """
        if self.evaluation is None:
            raise UserError(
                f"splits.{self.split}: this split has no `evaluate`, so that there is nothing to "
                "evaluate its model on. Add `evaluate`, and run resolve_splits again."
            )
        return self.evaluation

    def write(self, path: str | os.PathLike) -> None:
        """Write the recipe as canonical JSON with a checksum."""
        checked_json.write(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Recipe":
        """Read a recipe that ``write`` wrote.

        Raises:
            UserError: if the file is missing, was changed, or is no recipe of this version of
                memtrain.
        """
        content = checked_json.read(path, made_by="resolve_splits")
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
        """Return the digest of a part; ``read_recipe_facts`` finds the same one in the file.

        A part that is None has a digest, too, so that an evaluation is known to be another one.
        """
        content = getattr(self, part)
        return canonical_json.digest(None if content is None else content.model_dump(mode="json"))
