"""The types that settings are made of: numbers, names, and objects that are chosen by name."""

import re
from collections.abc import Mapping
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

from memtrain.config.plain_values import read_arguments, read_number
from memtrain.core import byte_sizes
from memtrain.core.wording import shown

#: Types of values, by the names that NumPy has for them.
NUMBER_TYPES = (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "bool",
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

#: Most characters of a name: it becomes the name of a file with an ending, or a part of one.
LONGEST_NAME = 100

#: More rows, steps or bytes than any file has.
_LARGEST_COUNT = 2**63 - 1


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} becomes the name of a folder: use letters from a to z, digits, '-' and "
            "'_', and begin with a letter or a digit"
        )
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"it has {len(name)} characters and becomes the name of files; use at most "
            f"{LONGEST_NAME}"
        )
    return name


def _check_path(path: str) -> str:
    if not path.isprintable():
        raise ValueError("a path with characters that cannot be shown is not supported; rename it")
    return path


def _check_count_or_auto(value: Any) -> int | str:
    value = read_number(value)
    if value == "auto" or (isinstance(value, int) and 1 <= value <= _LARGEST_COUNT):
        return value
    raise ValueError("a number (1 or more, and below 2^63) or auto is needed")


#: Reads text like ``1e-3`` as a number. It stands last in an annotation, since pydantic puts bounds
#: into the JSON schema only where they stand directly behind the type.
FROM_TEXT = BeforeValidator(read_number)

Count = Annotated[int, Field(ge=1, le=_LARGEST_COUNT), FROM_TEXT]
Seed = Annotated[int, Field(ge=0, lt=2**63), FROM_TEXT]
Bytes = Annotated[
    int,
    BeforeValidator(byte_sizes.parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _LARGEST_COUNT},
                {"type": "string", "pattern": byte_sizes.PATTERN},
            ]
        }
    ),
]
Name = Annotated[str, AfterValidator(_check_name)]
FilePath = Annotated[str, Field(min_length=1), AfterValidator(_check_path)]
CountOrAuto = Annotated[
    int | str,
    BeforeValidator(_check_count_or_auto),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": _LARGEST_COUNT}, {"const": "auto"}]}
    ),
]


class Settings(BaseModel):
    """The base of all settings: unknown keys are errors, and nothing changes after reading.

    NaN and infinity are errors, since no setting can mean them and JSON does not have them.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
        # A program uses few of the settings, and need not wait for what checks the others.
        defer_build=True,
    )


def _allow_name_alone(schema: dict[str, Any]) -> None:
    """Let a JSON schema accept a text in place of a mapping."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, mapping]


class _NamedWithArguments(Settings):
    """A name and any number of keyword arguments; a text stands for a name without arguments."""

    model_config = ConfigDict(
        extra="allow", frozen=True, json_schema_extra=_allow_name_alone, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else read_arguments(value)

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

    @property
    def imports(self) -> list[str]:
        """Import paths of the user's own objects that the choice names: "package.module:Class"."""
        return [self.name] if ":" in self.name else []


class PartialChoice(_NamedWithArguments):
    """A split's own choice. Without a name, it changes arguments of the choice of all splits."""

    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the chosen object; without one, the name under `training` holds.",
    )

    def merged_with(self, default: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return this choice if it has a name, otherwise the default with what is given here."""
        given = self.model_dump(exclude_unset=True)
        if self.name is None:
            given.pop("name", None)
        return given if self.name is not None or default is None else {**default, **given}
