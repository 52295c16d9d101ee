"""How the columns of a user's tables become a row of the data file: a part of ``split.json``.

No result depends on it: it says again what the source of the rows says, so that the folder of a
split is all that is needed to use its model on new rows.
"""

from math import prod
from typing import Literal

from pydantic import Field

from memtrain.config.text_files import CsvSettings
from memtrain.config.types import Settings


class InputColumn(Settings):
    """A feature column of the tables, and where its values lie in a row.

    Attributes:
        name: name of the column in the tables.
        kind: what it holds: numbers, words, or one of the kinds of times that become seconds.
        dtype: type of the values in the row.
        field: field of the row.
        position: position of the first value in the field, counted row by row.
        shape: shape of the values of one row; empty for a single value.
        present: position of the first value in the field of validity; None where the column is not
            in it.
        rounds: whether integers may lose digits.
        may_be_missing: whether a row may lack the value.
    """

    name: str
    kind: Literal["number", "category", "date", "timestamp", "time", "duration"]
    dtype: str
    field: str
    position: int
    shape: list[int] = Field(default_factory=list)
    present: int | None = None
    rounds: bool = False
    may_be_missing: bool = False

    @property
    def width(self) -> int:
        """The number of values of one row."""
        return prod(self.shape)


class Inputs(Settings):
    """What has to be known of the tables to use a model on rows of the same kind.

    Attributes:
        columns: the feature columns, in their order.
        class_names: words of the classes, in the order of the classes' numbers; None where there
            are none.
        csv: how text files are written; not written where they are as usual.
    """

    columns: list[InputColumn]
    class_names: list[str] | None
    csv: CsvSettings = Field(
        default_factory=CsvSettings, exclude_if=lambda csv: csv == CsvSettings()
    )
