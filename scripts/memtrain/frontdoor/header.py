"""Whether the first line of a text file has the names of its columns, or is a row."""

import re
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path

from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.tables.files import open_tables

#: Rows in which words of the first line are searched.
_MOST_ROWS = 1000

#: Fewest numbers counting up that are taken for names.
_FEWEST_COUNTED = 4

_INTEGER = re.compile(r"\d+")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


def are_numbers(cells: Sequence[str]) -> bool:
    """Return whether all cells are numbers, with points or commas; blanks around them are none."""
    return bool(cells) and all(map(_is_number, cells))


def has_header(file: Path, csv: CsvSettings) -> bool:
    """Return whether the first line of a text file seems to have the names of its columns.

    Names are words as a rule. Numbers are names where they count up, as 0, 1, 2 or 1990, 1991, 1992
    do, and beside words that no row has.

    Args:
        file: the file.
        csv: how it is written.

    Raises:
        UserError: where it may be either.
    """
    try:
        first, *rows = _first_rows(file, csv.model_copy(update={"column_names": "numbers"}))
    except (UserError, ValueError):
        return True  # It is told where the table is opened.
    are_words = [bool(cell) and not _is_number(cell) for cell in first]
    below = [any(row[place] == cell for row in rows) for place, cell in enumerate(first)]
    repeats = [is_below for is_below, is_word in zip(below, are_words, strict=True) if is_word]
    numbers = [cell for cell in first if _is_number(cell)]
    if not numbers:
        return not repeats or not all(repeats)
    if any(repeats):
        return False
    are_whole = all(map(_INTEGER.fullmatch, numbers))
    if not repeats and not (are_whole and _count_up(numbers)):
        return False
    if are_whole and (repeats or _are_places_or_years(numbers)):
        return True
    raise UserError(
        f"{file}: its first line ({listed(first, 5)}) may be a row, or have the names of the "
        "columns. Say which: --csv '{column_names: numbers}' for a row, --csv '{}' for names."
    )


def _first_rows(file: Path, csv: CsvSettings) -> list[list[str]]:
    """Return the cells of the first rows as text, without blanks around them; "" for none."""
    table = open_tables([file], csv)[0]
    batch = next(iter(table.batches(table.columns))).slice(0, _MOST_ROWS)
    columns = [
        [(cell or b"").decode("utf-8", "replace").strip() for cell in column.to_pylist()]
        for column in batch.columns
    ]
    return [list(row) for row in islice(zip(*columns, strict=True), _MOST_ROWS)]


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _count_up(numbers: Sequence[str]) -> bool:
    """Return whether there are several whole numbers, each the one before it and 1."""
    return len(numbers) > 1 and all(
        int(after) == int(before) + 1 for before, after in pairwise(numbers)
    )


def _are_places_or_years(numbers: Sequence[str]) -> bool:
    """Return whether whole numbers that count up are hardly a row: 0, 1, 2, 3 or 1990, 1991, ..."""
    return len(numbers) >= _FEWEST_COUNTED and (numbers[0] == "0" or len(numbers[0]) == len("1990"))
