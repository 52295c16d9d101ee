"""Sizes in bytes, read and written as people do: "256 KiB", "1.5 GiB", "64 MB"."""

import re
from fractions import Fraction

#: Regular expression of a size as text; it is valid in Python and in JSON schemas.
PATTERN = (
    r"^\s*([0-9]+|[0-9]+\.[0-9]+(?=\s*[KkMmGgTt]))"  # no fraction of a byte
    r"\s*((?:[KkMmGgTt][Ii]?)?[Bb])?\s*$"
)

#: Largest size of a file on any file system.
_LARGEST = 2**63 - 1

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

#: Most digits of a size as text; Python refuses to read integers of thousands of digits.
_LONGEST_TEXT = 1000

#: Most characters of a number that is shown exactly.
_LONGEST_NUMBER = 4


def parse_bytes(size: object) -> int:
    """Return a size as a number of bytes, rounded down.

    Args:
        size: number of bytes, 1 or more; or text like "256KiB", "1.5 GiB", "64 MB" or "4096".

    Raises:
        ValueError: if the size is neither a number of bytes nor such a text, or is 8 EiB or more.
    """
    bytes_ = _read_bytes(size)
    if bytes_ is None or bytes_ < 1:
        raise ValueError("a size like 256KiB is needed")
    if bytes_ > _LARGEST:
        raise ValueError("a size below 8388608 TiB is needed, since no file is larger")
    return bytes_


def _read_bytes(size: object) -> int | None:
    if isinstance(size, int) and not isinstance(size, bool):
        return size
    if not isinstance(size, str) or not (match := re.fullmatch(PATTERN, size)):
        return None
    number, unit = match.groups(default="B")
    if len(number) > _LONGEST_TEXT:
        return None
    return int(Fraction(number) * _BYTES_BY_LOWER_CASE_UNIT[unit.lower()])


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
