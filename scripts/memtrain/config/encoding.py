"""The settings of a training that say how columns become features."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from memtrain.config.types import Count, Settings

#: What takes the place of a missing value: something that is learned from its column in the
#: training rows, a word of its own, or a number.
FillValue = (
    Literal["mean", "median", "most_frequent", "category"]
    | Annotated[float, Field(ge=-1e30, le=1e30)]
)


class Fill(Settings):
    """What takes the place of a missing value, and whether the model is told where one was."""

    with_: FillValue = Field(
        alias="with",
        description="mean, median or most_frequent (of the column's training rows), category (a "
        "word of its own, for categories) or a number.",
    )
    indicator: bool = Field(
        default=False,
        description="Whether the model sees a further feature for the column: 1 where a value was "
        "missing, else 0.",
    )


#: What takes the place of a missing value: a ``FillValue``, or one with an indicator.
Impute = FillValue | Fill


def _read_encoding(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class CategoryEncoding(Settings):
    """What the model sees of a category."""

    name: Literal["one_hot", "codes"] = Field(
        description="one_hot: a feature for each word, 1 in rows that have it, else 0. codes: one "
        "feature, 1, 2, ... for the words in sorted order, 0 for a word that no training row has.",
    )
    rare: Count = Field(
        default=1,
        description="Words that fewer training rows have become one word together, `other`.",
    )
    most: Count = Field(
        default=1000,
        description="Most words that a one_hot may have; more are refused.",
    )


#: What the model sees of a time: its seconds, or its place in a cycle.
TimePart = Literal["elapsed", "month", "day_of_year", "weekday", "hour", "minute"]
TimeParts = Annotated[list[TimePart], Field(min_length=1)]

Encode = Annotated[
    CategoryEncoding | TimeParts,
    BeforeValidator(
        _read_encoding,
        json_schema_input_type=CategoryEncoding | Literal["one_hot", "codes"] | TimeParts,
    ),
]
