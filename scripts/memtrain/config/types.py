"""The types that settings are made of: numbers, names, and things chosen by name."""

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
    """Turn text like ``1e-3`` into a number: YAML reads it as text where it has no point."""
    if isinstance(value, bool):
        raise ValueError("a number is needed here, not yes or no")
    if isinstance(value, str) and _NUMBER_WITH_EXPONENT.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() and "." not in value else number
    return value


def read_numbers(value: Any) -> Any:
    """Do the same to every text within lists and mappings, for arguments of unknown types."""
    if isinstance(value, dict):
        return {key: read_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [read_numbers(part) for part in value]
    return value if isinstance(value, bool) else read_number(value)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} names a folder: use letters, digits, '-' and '_', and begin with a letter "
            "or a digit"
        )
    return name


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


class Settings(BaseModel):
    """What all settings share: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _or_just_the_name(schema: dict[str, Any]) -> None:
    whole = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, whole]


class Choice(Settings):
    """Something chosen by name, with its own arguments beside the name."""

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=_or_just_the_name)

    name: str = Field(min_length=1, description="What is chosen: see the key's own description.")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else read_numbers(value)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments beside the name."""
        return dict(self.model_extra or {})


class PartialChoice(Choice):
    """A choice of a split's own; without a name, it changes arguments of the default choice."""

    name: str | None = Field(None, min_length=1, description="Without a name, that of `training`.")

    def over(self, default: Choice | None) -> dict[str, Any]:
        """Return this choice where it has a name, else the default with these arguments."""
        if self.name is not None or default is None:
            return self.model_dump()
        return default.model_dump() | self.arguments
