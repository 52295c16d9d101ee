"""Numbers of optimizer steps as users write them: 100, "5%", "2 epochs" or ``steps`` for all."""

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from memtrain.config.plain_values import read_number
from memtrain.core.wording import shown

_TEXT = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*(%|epochs?|steps?)\s*")

#: Words that stand for a number and a unit.
_WORDS = {"steps": "100%", "epochs": "100%", "epoch": "1 epoch"}

#: Units of a mapping, like ``{epochs: 2}``.
_UNITS = ("steps", "epochs")

_LARGEST_COUNT = 2**63 - 1

_ALLOWED = (
    "a number of steps is needed: 100, a share like 5%, epochs like '2 epochs' or {epochs: 2}, or "
    "`steps` for all of them"
)


def read_step_count(value: Any) -> int | str:
    """Return a number of steps as the recipe holds it: a number, or a text with its unit.

    Args:
        value: what the user wrote: 100, "100 steps", {steps: 100}, "5%", "2 epochs", {epochs: 2},
            `epoch`, or `steps` for all steps.

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _UNITS:
        unit, number = next(iter(value.items()))
        return read_step_count(f"{number} {unit}" if isinstance(number, int | float) else number)
    value = read_number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and 0 <= value <= _LARGEST_COUNT:
        return value
    if isinstance(value, str):
        text = _WORDS.get(value.strip(), value)
        if found := _TEXT.fullmatch(text):
            number, unit = found.groups()
            if unit.startswith("step"):
                if "." in number:
                    raise ValueError(f"{shown(value)} is no whole number of steps; {_ALLOWED}")
                return int(number)
            return f"{number}%" if unit == "%" else f"{number} epochs"
    raise ValueError(_ALLOWED)


def resolve_step_count(count: int | str, steps: int, steps_per_epoch: int) -> int:
    """Return a number of steps that ``read_step_count`` has read.

    Shares and epochs are rounded to the nearest whole number, and halves upwards; they are at least
    one step, unless they are 0.

    Args:
        count: the number, as the recipe holds it.
        steps: number of steps that 100% stands for.
        steps_per_epoch: number of steps of one epoch.
    """
    if isinstance(count, int):
        return count
    found = _TEXT.fullmatch(count)
    assert found is not None, count
    number, unit = found.groups()
    whole = Fraction(steps, 100) if unit == "%" else Fraction(steps_per_epoch)
    exact = Fraction(number) * whole
    return max(1, math.floor(exact + Fraction(1, 2))) if exact else 0


#: A number of steps in JSON schema.
STEP_COUNT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": _LARGEST_COUNT},
        {
            "type": "string",
            "pattern": r"^\s*(\d+(\.\d+)?\s*(%|epochs?|steps?)|steps|epochs?)\s*$",
        },
        *(
            {
                "type": "object",
                "properties": {
                    unit: {
                        "type": "number",
                        "minimum": 0,
                        "maximum": _LARGEST_COUNT,
                        "description": f"Number of {unit}.",
                    }
                },
                "required": [unit],
                "additionalProperties": False,
            }
            for unit in _UNITS
        ),
    ]
}

StepCount = Annotated[
    int | str, BeforeValidator(read_step_count), WithJsonSchema(STEP_COUNT_SCHEMA)
]
