"""Sizes in bytes, as people write them: "256 KiB", "1.5 GiB", "64 MB"."""

import re
from fractions import Fraction

#: What a size looks like as text, for Python and for JSON schemas alike.
PATTERN = (
    r"^\s*([0-9]+|[0-9]+\.[0-9]+(?=\s*[KkMmGgTt]))"  # no fractions of a single byte
    r"\s*((?:[KkMmGgTt][Ii]?)?[Bb])?\s*$"
)

#: From the largest to the smallest.
_UNITS = {
    "TiB": 2**40,
    "TB": 10**12,
    "GiB": 2**30,
    "GB": 10**9,
    "MiB": 2**20,
    "MB": 10**6,
    "KiB": 2**10,
    "kB": 10**3,
    "B": 1,
}
_UNITS_BY_LOWER_CASE = {name.lower(): size for name, size in _UNITS.items()}
#: An exact number that has more digits than this is not short.
_MOST_DIGITS = 4


def parse_bytes(size: object) -> int:
    """Return the bytes of a size; what is left of a byte is cut off.

    Args:
        size: a number of bytes, 1 or more, or text: "256KiB", "1.5 GiB", "64 MB", "4096".

    Raises:
        ValueError: for anything else.
    """
    if isinstance(size, int) and not isinstance(size, bool) and size >= 1:
        return size
    if isinstance(size, str) and (match := re.fullmatch(PATTERN, size)):
        number, unit = match.groups(default="B")
        size = int(Fraction(number) * _UNITS_BY_LOWER_CASE[unit.lower()])
        if size >= 1:
            return size
    raise ValueError("a size like 256KiB is needed")


def format_bytes(size: int) -> str:
    """Return "256 MiB": exact where four digits can say it, else to a tenth of a binary unit.

    Args:
        size: in bytes, 0 or more.
    """
    return _exact(size) or _to_a_tenth(size)


def _exact(size: int) -> str | None:
    for name, unit in _UNITS.items():
        tenths, rest = divmod(10 * size, unit)
        whole = tenths % 10 == 0
        number = str(tenths // 10) if whole else f"{tenths // 10}.{tenths % 10}"
        if rest == 0 and (size >= unit or unit == 1) and len(number) <= _MOST_DIGITS:
            return f"{number} {name}"
    return None


def _to_a_tenth(size: int) -> str:
    name = next(name for name, unit in _UNITS.items() if "i" in name and size >= unit)
    return f"{size / _UNITS[name]:.1f} {name}"
