"""The settings of predictions that the workflow makes: by which model, of which rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from memtrain.config.files import FieldSettings
from memtrain.config.splits import Ranges
from memtrain.config.text_files import CsvSettings
from memtrain.config.types import Settings
from memtrain.core.group_borders import GroupBorders, resolve_pair
from memtrain.core.ranges import Range, self_overlaps
from memtrain.core.wording import did_you_mean, listed, shown


def _read_files(value: Any) -> Any:
    if isinstance(value, dict):
        try:
            return FieldSettings.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "files"
            raise ValueError(
                f"`{key}` is wrong: {first['msg'].removeprefix('Value error, ')}. It is described "
                "as a field under `dataset: files: fields`"
            ) from None
    if not isinstance(value, str | FieldSettings) or value == "":
        raise ValueError(
            "a file, a folder or a pattern such as data/*.csv is needed, or what a field under "
            "`dataset: files: fields` takes"
        )
    return value


PredictedFiles = Annotated[
    Annotated[str, Field(min_length=1)] | FieldSettings, BeforeValidator(_read_files)
]


class PredictionSettings(Settings):
    """Predictions for rows of the dataset, or of files of one's own, by the model of a split."""

    split: Annotated[str, Field(min_length=1)] = Field(
        description="The split whose model predicts; of a sweep, the name of a training."
    )
    rows: Ranges | None = Field(
        default=None,
        description="Rows of the dataset, written like `train` of a split; withdrawn rows are left "
        "out.",
    )
    files: PredictedFiles | None = Field(
        default=None,
        description="Files of your own, with the columns that were imported: a file, a folder or a "
        "pattern, of any kind that is imported; or an array of features, .npy. Or, for rows that "
        "are read where they lie, what a field under `dataset: files: fields` takes.",
    )
    csv: CsvSettings | None = Field(
        default=None,
        description="How text files are written; null: as those that were imported.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> "PredictionSettings":
        if (self.rows is None) == (self.files is None):
            found = "neither" if self.rows is None else "both"
            raise ValueError(f"either `rows` or `files` is needed; found {found}")
        if self.csv is not None and not isinstance(self.files, str):
            raise ValueError("`csv` says how `files` are written that are tables; remove it")
        if isinstance(self.files, FieldSettings) and self.files.target:
            raise ValueError("`files` are the features; remove `target: true`")
        return self

    def resolved(self, count: int, groups: GroupBorders | None = None) -> list[Range]:
        """Return the rows of the dataset by their numbers; none where files are predicted.

        Args:
            count: the number of rows in the data file.
            groups: borders between groups of rows, at which percentages lie as in splits; None
                where rows have none.
        """
        return [resolve_pair(pair, count, groups) for pair in self.rows or []]


def prediction_problems(
    predictions: Mapping[str, PredictionSettings], splits: Sequence[str], rows: int | None
) -> Iterator[str]:
    """Yield what is wrong with predictions: splits that there are not, rows outside of the data.

    Args:
        predictions: the predictions by their names.
        splits: the names of all splits.
        rows: number of rows in the data; None where it is not known yet.
    """
    for name, one in predictions.items():
        where = f"predictions.{name}"
        if one.split not in splits:
            yield (
                f"{where}.split: found {shown(one.split)}; known are {listed(splits, 8)}."
                f"{did_you_mean(one.split, splits)}"
            )
        for given, resolved in zip(one.rows or [], one.resolved(rows or 0), strict=True):
            if rows is not None and not resolved.start < resolved.end <= rows:
                yield (
                    f"{where}.rows: {given} is empty or reaches beyond the {rows:,} rows of the "
                    "data. Use rows that there are."
                )
        for common in self_overlaps(one.resolved(rows)) if rows is not None else ():
            yield f"{where}.rows: rows {common} are in two of these ranges. Name them once."
