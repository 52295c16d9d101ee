"""Sizes in bytes, read and written as people do: "256 KiB", "1.5 GiB", "64 MB"."""

import re
from fractions import Fraction

#: Regular expression of a size as text; it is valid in Python and in JSON schemas.
PATTERN = (
    r"^\s*([0-9]+|[0-9]+\.[0-9]+(?=\s*[KkMmGgTt]))"  # no fraction of a byte
    r"\s*((?:[KkMmGgTt][Ii]?)?[Bb])?\s*$"
)

#: Bytes of each unit, from the largest to the smallest.
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
_BYTES_BY_LOWER_CASE_UNIT = {name.lower(): size for name, size in _UNITS.items()}

#: Most characters of a number that is shown exactly.
_LONGEST_NUMBER = 4


def parse_bytes(size: object) -> int:
    """Return a size as a number of bytes, rounded down.

    Args:
        size: number of bytes, 1 or more; or text like "256KiB", "1.5 GiB", "64 MB" or "4096".

    Raises:
        ValueError: if the size is neither a number of bytes nor such a text.
    """
    if isinstance(size, int) and not isinstance(size, bool) and size >= 1:
        return size
    if isinstance(size, str) and (match := re.fullmatch(PATTERN, size)):
        number, unit = match.groups(default="B")
        size = int(Fraction(number) * _BYTES_BY_LOWER_CASE_UNIT[unit.lower()])
        if size >= 1:
            return size
    raise ValueError("a size like 256KiB is needed")


def format_bytes(size: int) -> str:
    """Return a size as text like "256 MiB".

    The text is exact if a number of up to four characters is enough; otherwise it is rounded to a
    tenth of a binary unit.

    Args:
        size: number of bytes, 0 or more.
    """
    return _exact_text(size) or _rounded_text(size)


def _exact_text(size: int) -> str | None:
    for name, unit in _UNITS.items():
        tenths, rest = divmod(10 * size, unit)
        whole = tenths % 10 == 0
        number = str(tenths // 10) if whole else f"{tenths // 10}.{tenths % 10}"
        if rest == 0 and (size >= unit or unit == 1) and len(number) <= _LONGEST_NUMBER:
            return f"{number} {name}"
    return None


def _rounded_text(size: int) -> str:
    name = next(name for name, unit in _UNITS.items() if "i" in name and size >= unit)
    return f"{size / _UNITS[name]:.1f} {name}"
