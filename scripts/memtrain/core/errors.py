"""Errors that a user can correct. They are shown without a traceback, and all at once."""

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class UserError(Exception):
    """One or more problems that the user can correct.

    The text of a problem is one or two sentences, which name the key or the file, the value found
    and what would be right, and say what to do.
    """

    def __init__(self, *problems: str):
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class TransientError(UserError):
    """An error that may not occur when the program runs again: too little memory, a lost process.

    No mistake in the configuration is behind it, so that the same run may succeed another time.
    """


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Says that a program leaves early because it was asked to; nothing went wrong."""


def attempt(
    problems: list[str],
    function: Callable[_Arguments, _Result],
    *arguments: _Arguments.args,
    **keywords: _Arguments.kwargs,
) -> _Result | None:
    """Return what a function returns; add its problems to a list if it raises a ``UserError``.

    Returns:
        The result; None where there were problems.
    """
    try:
        return function(*arguments, **keywords)
    except UserError as error:
        problems.extend(error.problems)
        return None


def raise_problems(problems: Iterable[str]) -> None:
    """Raise one ``UserError`` with all problems; do nothing if there are none."""
    problems = list(problems)
    if problems:
        raise UserError(*problems)
