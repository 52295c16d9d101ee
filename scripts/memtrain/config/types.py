"""The types that settings are made of: numbers, names, and objects that are chosen by name."""

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from memtrain.core import byte_sizes

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NUMBER_WITH_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def read_number(value: Any) -> Any:
    """Return text like ``1e-3`` as a number, and anything else as it is.

    YAML reads a number with an exponent as text where it has no decimal point.
    """
    if isinstance(value, bool):
        raise ValueError("a number is needed here, not yes or no")
    if isinstance(value, str) and _NUMBER_WITH_EXPONENT.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() and "." not in value else number
    return value


def read_numbers(value: Any) -> Any:
    """Return lists and mappings of any depth with texts like ``1e-3`` turned into numbers.

    This is for arguments whose types only the called function knows.
    """
    if isinstance(value, dict):
        return {key: read_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [read_numbers(part) for part in value]
    return value if isinstance(value, bool) else read_number(value)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} becomes the name of a folder: use letters, digits, '-' and '_', and begin "
            "with a letter or a digit"
        )
    return name


def _check_count_or_auto(value: Any) -> int | str:
    value = read_number(value)
    if value == "auto" or (isinstance(value, int) and value >= 1):
        return value
    raise ValueError("a number (1 or more) or auto is needed")


Number = Annotated[float, BeforeValidator(read_number)]
Count = Annotated[int, BeforeValidator(read_number), Field(ge=1)]
Seed = Annotated[int, BeforeValidator(read_number), Field(ge=0, lt=2**63)]
Bytes = Annotated[
    int,
    BeforeValidator(byte_sizes.parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": byte_sizes.PATTERN},
            ]
        }
    ),
]
Name = Annotated[str, AfterValidator(_check_name)]
CountOrAuto = Annotated[
    int | str,
    BeforeValidator(_check_count_or_auto),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]


class Settings(BaseModel):
    """The base of all settings: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _allow_name_alone(schema: dict[str, Any]) -> None:
    """Let a JSON schema accept a text in place of a mapping."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, mapping]


class _NamedWithArguments(Settings):
    """A name and any number of keyword arguments; a text stands for a name without arguments."""

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=_allow_name_alone)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else read_numbers(value)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments beside the name."""
        return dict(self.model_extra or {})


class Choice(_NamedWithArguments):
    """An object that is chosen by its name, with its own arguments beside the name."""

    name: str = Field(
        min_length=1,
        description="Name of the chosen object; the description of the key lists the names.",
    )


class PartialChoice(_NamedWithArguments):
    """A split's own choice. Without a name, it changes arguments of the choice of all splits."""

    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the chosen object; without one, the name under `training` holds.",
    )

    def merged_with(self, default: Choice | None) -> dict[str, Any]:
        """Return this choice if it has a name, otherwise the default with these arguments."""
        if self.name is not None or default is None:
            return self.model_dump()
        return default.model_dump() | self.arguments
