"""Mistakes that a user can mend, told without a traceback and all at once."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """One or more mistakes of the user's.

    Each problem is one sentence or two: the key or the file, the value found, what would be right,
    and what to do about it.
    """

    def __init__(self, *problems: str):
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class PassingError(UserError):
    """What another try may not meet: memory that was short, a process that was lost."""


def raise_problems(problems: Iterable[str]) -> None:
    """Raise one ``UserError`` with all of the problems, or return where there are none."""
    problems = list(problems)
    if problems:
        raise UserError(*problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known word, or an empty string."""
    nearest = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def counted(number: int, noun: str) -> str:
    """Return "1 file", "2 files" for the noun "file"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Iterable[object], limit: int = 20) -> str:
    """Return the words as "a, b, c", cut after ``limit`` of them."""
    words = [str(word) for word in words]
    rest = len(words) - limit
    return ", ".join(words[:limit]) + (f" and {rest} more" if rest > 0 else "")
