"""What a broken disk says of the index, as a sentence."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.lineage.index.building import INDEX_FILE


@contextmanager
def told_where_unreadable(folder: str | os.PathLike) -> Iterator[None]:
    """Turn an error that SQLite meets while it reads the index into a sentence with the path.

    Args:
        folder: the folder of the records.

    Raises:
        UserError: in place of the error.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{Path(folder) / INDEX_FILE}: the index of the records cannot be read ({error}). It "
            "is made from the records: remove it, and ask again."
        ) from None
