"""Random draws of settings, from streams that are the same everywhere.

Draw number i of a setting depends on the seed, the key of the setting and i alone: more draws, and
more settings, leave it as it is.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from memtrain.config.plain_values import read_arguments
from memtrain.config.types import Settings
from memtrain.core.wording import listed, shown

#: Draws of a range are rounded to a power of ten of which it has at least so many.
_STEPS_OF_RANGE = 1000

#: Largest number of either sign that a range may hold: integers up to here are exact in floats.
_LARGEST_BOUND = 2**53


def _check_interval(value: Any) -> Any:
    """Return a pair of numbers [low, high], low before high."""
    value = read_arguments(value)
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("two numbers are needed, [low, high]")
    for bound in value:
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise ValueError(f"{shown(bound)} is not a number; write [low, high]")
        if abs(bound) > _LARGEST_BOUND:
            raise ValueError(f"{shown(bound)} is beyond 2^53")
    if not value[0] < value[1]:
        raise ValueError("low must be less than high")
    return value


def _check_positive(value: list[float]) -> list[float]:
    if value[0] <= 0:
        raise ValueError(
            f"low is {value[0]}; numbers that are drawn evenly by their logarithm are above 0"
        )
    return value


def _check_whole(value: list[float]) -> list[float]:
    if not all(isinstance(bound, int) for bound in value):
        raise ValueError("both must be whole numbers, [low, high]")
    return value


def _pair_schema(number: str, **least: int) -> WithJsonSchema:
    items = {"type": number, **(least or {"minimum": -_LARGEST_BOUND}), "maximum": _LARGEST_BOUND}
    return WithJsonSchema({"type": "array", "items": items, "minItems": 2, "maxItems": 2})


_Pair = Annotated[list[int | float], BeforeValidator(_check_interval)]
Interval = Annotated[_Pair, _pair_schema("number")]
PositiveInterval = Annotated[
    _Pair, AfterValidator(_check_positive), _pair_schema("number", exclusiveMinimum=0)
]
WholeInterval = Annotated[_Pair, AfterValidator(_check_whole), _pair_schema("integer")]
Values = Annotated[list[Any], Field(min_length=1), BeforeValidator(read_arguments)]


class Distribution(Settings):
    """How a setting is drawn; one of these."""

    choice: Values | None = Field(
        default=None, description="One of these values, each as likely as the others."
    )
    uniform: Interval | None = Field(
        default=None, description="A number from low to high, each as likely as the others."
    )
    log_uniform: PositiveInterval | None = Field(
        default=None,
        description="A number from low to high, each power of ten as likely as the others: for "
        "learning rates and the like.",
    )
    integers: WholeInterval | None = Field(
        default=None, description="A whole number from low to high, both included."
    )

    @model_validator(mode="after")
    def _check_one(self) -> "Distribution":
        if len(self._given) != 1:
            known, found = listed(type(self).model_fields), listed(self._given) or "none"
            raise ValueError(f"one of {known} is needed, with its values; found {found}")
        return self

    @property
    def _given(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    def draw(self, seed: int, key: str, number: int) -> Any:
        """Return one draw.

        Args:
            seed: the seed of all draws.
            key: the key of the setting, which has a random stream of its own.
            number: the number of the draw, from 0.
        """
        # Imported here, since only draws need NumPy, and every job reads the configuration.
        from memtrain.core.random_streams import random_stream

        stream = random_stream(seed, f"sweep:{key}", number)
        word = int(stream.bit_generator.random_raw())
        if self.choice is not None:
            return self.choice[_below(word, len(self.choice))]
        if self.integers is not None:
            first, last = map(int, self.integers)
            return first + _below(word, last - first + 1)
        low, high = map(float, self.log_uniform or self.uniform or ())
        share = (word >> 11) / 2**53
        if self.log_uniform is None:
            return _rounded(low + share * (high - low), high - low, low, high)
        value = low * math.exp(share * math.log(high / low))
        return _rounded(value, min(value, high - low), low, high)


def _below(word: int, count: int) -> int:
    """Return a number from 0 to ``count - 1`` from 64 random bits (Lemire's multiplication)."""
    return word * count >> 64


def _rounded(value: float, width: float, low: float, high: float) -> float:
    """Return a drawn number with few digits: people read it, and the name of a split shows it.

    Args:
        value: the number.
        width: what is wide enough for ``_STEPS_OF_RANGE`` steps.
        low: the least value.
        high: the largest value.
    """
    decimals = -math.floor(math.log10(width / _STEPS_OF_RANGE))
    return min(max(round(value, decimals), low), high)
