"""Numbers on the command line, refused where no program could use them."""

import argparse
import math
import re
from collections.abc import Callable

from memtrain.core.wording import shown

#: More threads than any machine has; the kernel would end a program that starts so many.
MOST_THREADS = 4096

#: The largest number of a row, a shard or an attempt.
MOST = 2**63 - 1


def whole_number(least: int, most: int = MOST) -> Callable[[str], int]:
    """Return a type for ``add_argument``: an integer from ``least`` to ``most``."""

    def parse(text: str) -> int:
        # int() would read digits of other scripts, underscores, and fail at thousands of digits.
        number = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{shown(text)} is not a whole number from {least} to {most:,}"
            )
        return number

    return parse


def number_of(unit: str) -> Callable[[str], float]:
    """Return a type for ``add_argument``: a number of a unit, zero or more, and no infinity."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a number of {unit}, such as 90")
        return number

    return parse
