"""The arguments of commands that name rows: by numbers, by shard, or by places in files."""

import argparse
import re
from typing import Any

from memtrain.cli.number_arguments import whole_number
from memtrain.core.ranges import MOST_ROWS, Range
from memtrain.core.wording import shown


def add_row_arguments(parser: argparse.ArgumentParser, required: bool = True) -> Any:
    """Add ``--rows`` and ``--shard``, which exclude each other.

    Args:
        parser: the parser of a command.
        required: whether one of them is required.

    Returns:
        Their group, for more arguments that exclude each other.
    """
    group = parser.add_mutually_exclusive_group(required=required)
    group.add_argument(
        "--rows",
        type=parse_rows,
        metavar="START:END",
        help="the rows START to END-1; one number is one row",
    )
    group.add_argument(
        "--shard", type=whole_number(0), metavar="N", help="the rows of shard number N"
    )
    return group


def add_place_arguments(parser: argparse.ArgumentParser, group: Any) -> None:
    """Add what names a place in files: a path, ``--bytes``, ``--elements`` and ``--document``.

    Args:
        parser: the parser of a command.
        group: the group of what names rows otherwise, which excludes a path.
    """
    group.add_argument(
        "place",
        nargs="?",
        metavar="PATH",
        help="a file that rows lie in, as the configuration names it: all rows in it",
    )
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument(
        "--bytes",
        type=parse_rows,
        metavar="START:END",
        help="of the file, the rows that one of the bytes START to END-1 is part of",
    )
    parts.add_argument(
        "--elements",
        type=parse_rows,
        metavar="START:END",
        help="the rows that one of these elements is part of; without PATH, elements are counted "
        "through all files",
    )
    parts.add_argument(
        "--document",
        type=whole_number(0),
        metavar="N",
        help="the rows that document number N, counted from 0, is part of; without PATH, documents "
        "are counted through all files",
    )
    parser.add_argument(
        "--field",
        metavar="NAME",
        help="the field of --elements or --document, where several are",
    )


def parse_rows(text: str) -> Range:
    """Return "A:B" as the rows [A, B), and "A" as that one row."""
    match = re.fullmatch(r"([0-9]{1,19})(?::([0-9]{1,19}))?", text)
    rows = match and Range(int(match[1]), int(match[2]) if match[2] else int(match[1]) + 1)
    if not rows or rows.rows <= 0 or rows.end >= MOST_ROWS:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is neither a row number below 2^63 nor START:END with START before END"
        )
    return rows
