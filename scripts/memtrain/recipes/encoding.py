"""How the fields of a record become the features of a model: a part of the recipe."""

from typing import Literal

from pydantic import Field

from memtrain.config.encoding import TimePart
from memtrain.config.types import Settings


class EncodedColumn(Settings):
    """What becomes of a column of the data file: one feature or more.

    Attributes:
        column: name of the column in the tables.
        kind: what its values become. numbers: themselves; one_hot: a feature for each word; codes:
            the number of the word; times: the parts of a time.
        field: field of the record.
        start: position of its first value in the field.
        width: number of its values in the field.
        present: position in the field of validity; None where the column is not in it.
        parts: the parts of a time, in the order of their features.
        codes: codes of the known words, as the data file has them.
        places: for each of these, its feature among those of the column (one_hot), or its number
            (codes).
        size: number of the features of a one_hot; the largest number and one, for codes.
        missing: place of a missing word; None where it has none.
        indicator: whether a further feature says where a value was missing.
    """

    column: str
    kind: Literal["numbers", "one_hot", "codes", "times"]
    field: str
    start: int
    width: int
    present: int | None = None
    parts: list[TimePart] = Field(default_factory=list)
    codes: list[int] = Field(default_factory=list)
    places: list[int] = Field(default_factory=list)
    size: int = 0
    missing: int | None = None
    indicator: bool = False

    @property
    def features(self) -> int:
        """The number of features that it becomes, indicators included."""
        return self.own_features + (self.width if self.indicator else 0)

    @property
    def own_features(self) -> int:
        """The number of features that its values become, without indicators."""
        match self.kind:
            case "numbers":
                return self.width
            case "one_hot":
                return self.size
            case "times":
                return sum(1 if part == "elapsed" else 2 for part in self.parts)
            case _:
                return 1


class Encoding(Settings):
    """How the fields of a record become the features that a model sees.

    All that is learned from rows for it is learned from the training rows alone.

    Attributes:
        dtype: dtype of the features.
        columns: the columns, in the order of the features.
    """

    dtype: str
    columns: list[EncodedColumn]
