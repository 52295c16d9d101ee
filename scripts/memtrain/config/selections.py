"""Selections of columns: names, patterns, positions, types, or all columns but some."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from memtrain.config.types import Settings
from memtrain.core.wording import shown

_POSITIONS = re.compile(r"(-?\d+)?:(-?\d+)?")
_KINDS = ("number", "text", "boolean", "time")


class OfType(Settings):
    """All columns that hold values of one kind."""

    type: Literal["number", "text", "boolean", "time"] = Field(
        description="What the columns hold: number, text, boolean, or time (dates, times of day)."
    )


def read_column_name(name: Any) -> Any:
    """Return the name of a column as text; numbers name the columns of a matrix.

    Raises:
        ValueError: for what YAML takes for something else than text.
    """
    if name is None or isinstance(name, bool):
        raise ValueError(
            "this is no name of a column: YAML takes words such as no, yes, on, off and null for "
            "something else, so write the name in quotes"
        )
    # A column of a matrix is named by its number, which YAML reads as a number.
    return str(name) if type(name) is int else name


ColumnName = Annotated[str, BeforeValidator(read_column_name)]


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [value]


class AllBut(Settings):
    """All columns but some, and but the target."""

    all_but: Annotated[list[ColumnName], BeforeValidator(_as_list), Field(min_length=1)] = Field(
        description="Names, patterns or positions of columns that are left out."
    )


def _read_selection(value: Any) -> Any:
    if isinstance(value, OfType | AllBut):
        return value
    if not isinstance(value, dict | list):
        return read_column_name(value)
    given = value if isinstance(value, dict) else ()
    models: dict[str, type[OfType] | type[AllBut]] = {"type": OfType, "all_but": AllBut}
    model = models.get("".join(map(str, given)))
    try:
        if model is not None:
            return model.model_validate(value)
    except ValidationError:
        pass
    raise ValueError(
        "columns are selected by a name, a pattern such as 'pixel_*', positions such as '0:64', "
        f"{{type: one of {', '.join(_KINDS)}}}, or {{all_but: [names]}}"
    )


Selection = Annotated[str | OfType | AllBut, BeforeValidator(_read_selection)]
Selections = Annotated[Sequence[Selection], BeforeValidator(_as_list)]


def positions_of(selection: str) -> slice | None:
    """Return the positions that a text such as "0:64" stands for; None for another text."""
    found = _POSITIONS.fullmatch(selection)
    if found is None:
        return None
    start, stop = (None if end is None else int(end) for end in found.groups())
    return slice(start, stop)


def is_pattern(selection: str) -> bool:
    """Return whether a text is a pattern: it holds ``*``, ``?`` or ``[``."""
    return any(letter in selection for letter in "*?[")


def plain_names(selections: Sequence[str | OfType | AllBut]) -> list[str]:
    """Return the selections that are names, and neither patterns nor positions."""
    return [
        one
        for one in selections
        if isinstance(one, str) and not is_pattern(one) and positions_of(one) is None
    ]


def selection_text(selection: str | OfType | AllBut) -> str:
    """Return a selection as it is written in YAML, for messages."""
    if isinstance(selection, str):
        return shown(selection)
    if isinstance(selection, OfType):
        return f"{{type: {selection.type}}}"
    return f"{{all_but: [{', '.join(selection.all_but)}]}}"
