"""The settings of ragged rows: rows of any number of elements of a stream."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from memtrain.config.types import FilePath, Settings
from memtrain.config.windows import BordersAtElement


class OffsetsOfRows(Settings):
    """Where rows begin and end, from a file of numbers."""

    offsets: FilePath = Field(
        description="A .npy file of whole numbers, ascending: of n rows n + 1 numbers, the first "
        "element of every row and the end of the last, counted over all files."
    )


class LengthsOfRows(Settings):
    """How many elements rows have, from a file of numbers."""

    lengths: FilePath = Field(
        description="A .npy file of whole numbers: the number of elements of every row. The first "
        "row begins with the first element of all files."
    )


_MODELS: dict[str, type[OffsetsOfRows] | type[LengthsOfRows] | type[BordersAtElement]] = {
    "offsets": OffsetsOfRows,
    "lengths": LengthsOfRows,
    "delimiter": BordersAtElement,
}

_NAMES = ("documents", "file")


def _read_borders(value: Any) -> Any:
    if isinstance(value, tuple(_MODELS.values())) or value in _NAMES:
        return value
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _MODELS:
        return _MODELS[next(iter(value))].model_validate(value)
    raise ValueError(
        "the borders of rows are `documents`, `file`, {offsets: a .npy file}, {lengths: a .npy "
        "file}, or {delimiter: an element}"
    )


class RaggedSettings(Settings):
    """Rows that vary in length. Batches are padded, with lengths and a mask beside them."""

    borders: Annotated[
        Literal["documents", "file"] | OffsetsOfRows | LengthsOfRows | BordersAtElement,
        BeforeValidator(_read_borders),
    ] = Field(
        description="Where a row ends and the next one begins. documents: where the files say so, "
        "as Megatron's .idx does; file: each file is a row; {offsets: FILE}: a .npy of the first "
        "element of every row, and the end of the last; {lengths: FILE}: a .npy of the number of "
        "elements of every row; {delimiter: N}: behind every element N, which takes reading all "
        "elements once.",
    )
    target: Literal["next"] | None = Field(
        default=None,
        description="Elements that are the target. next: of every element the one behind it, for "
        "models of language; null: the target is in another field.",
    )
