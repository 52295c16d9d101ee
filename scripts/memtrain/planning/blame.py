"""Turns what fails in a dry run into a problem of the setting that is to blame."""

from collections.abc import Iterator
from contextlib import contextmanager

from memtrain.config.objects import describe_exception
from memtrain.core.errors import UserError

#: What to do about a setting that does not fit.
CHANGE = "Change this setting, or the columns of the dataset."


@contextmanager
def blame(where: str, problem: str, remedy: str = CHANGE) -> Iterator[None]:
    """Turn any exception of the block into a problem of one key.

    Args:
        where: the key.
        problem: what the exception means.
        remedy: what to do, a sentence.
    """
    try:
        yield
    except UserError:  # It says itself what is wrong.
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{where}: {problem}: {describe_exception(error)}. {remedy}") from None
