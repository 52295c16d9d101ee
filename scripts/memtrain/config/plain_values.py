"""Reads numbers and arguments as YAML gives them, and refuses what no recipe can hold."""

import math
import re
from collections.abc import Iterator
from typing import Any

from memtrain.core.wording import shown

_NUMBER_WITH_EXPONENT = re.compile(
    r"[-+]?([0-9]{1,99}\.?[0-9]{0,99}|\.[0-9]{1,99})[eE][-+]?[0-9]{1,9}"
)

#: Most levels of lists and mappings in the arguments of an object.
_MOST_LEVELS = 20


def read_number(value: Any) -> Any:
    """Return text like ``1e-3`` as a number, and anything else as it is.

    YAML reads a number with an exponent as text where it has no decimal point.

    Raises:
        ValueError: for yes and no, which Python takes for 1 and 0.
    """
    if isinstance(value, bool):
        raise ValueError("a number is needed here, not yes or no")
    if isinstance(value, str) and _NUMBER_WITH_EXPONENT.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() and "." not in value else number
    return value


def read_arguments(value: Any) -> Any:
    """Return lists and mappings with texts like ``1e-3`` turned into numbers.

    This is for arguments whose types only the called function knows. They become part of a recipe,
    so they must be what JSON can hold.

    Raises:
        ValueError: with everything that JSON cannot hold, and where it stands.
    """
    problems = list(_problems(value, "", _MOST_LEVELS))
    if problems:
        raise ValueError("; ".join(problems))
    return _read(value)


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_read(part) for part in value]
    return value if isinstance(value, bool) else read_number(value)


def _problems(value: Any, path: str, levels: int) -> Iterator[str]:
    """Yield what JSON cannot hold in a value.

    Args:
        value: a list, a mapping, or anything else.
        path: where it stands, like "betas[1]"; "" for the outermost mapping.
        levels: how many levels of lists and mappings are allowed.
    """
    where = f"{path}: " if path else ""
    if levels == 0:
        yield f"{where}lists and mappings have more than {_MOST_LEVELS} levels"
    elif isinstance(value, dict):
        for key, part in value.items():
            if isinstance(key, str) and key.isprintable():
                yield from _problems(part, f"{path}.{key}" if path else key, levels - 1)
            else:
                yield f"{where}the key {shown(key)} is no word; write it in quotes"
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _problems(part, f"{path}[{number}]", levels - 1)
    elif problem := _problem(value):
        yield f"{where}{shown(value)} {problem}"


def _problem(value: Any) -> str:
    """Return why JSON cannot hold a value that is neither list nor mapping; "" if it can."""
    number = value if isinstance(value, bool) else read_number(value)
    if isinstance(number, int) and not -(2**63) <= number < 2**64:
        return "has more than 64 bits"
    if isinstance(number, float) and not math.isfinite(number):
        return "is not a finite number"
    if isinstance(number, str) and any("\ud800" <= letter <= "\udfff" for letter in number):
        return "has half of a surrogate pair, which no file can hold"
    if number is not None and not isinstance(number, str | int | float):
        kind = type(number).__name__
        return f"is of the type {kind}, not text or a number; write it in quotes to make it text"
    return ""
