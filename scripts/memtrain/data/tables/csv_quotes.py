"""Checks the quotes of CSV files to their end: no row may vanish within the cell of another row.

Arrow, like most readers of CSV, takes everything up to the next quote for one cell. A quote that is
never closed thereby swallows the rest of the file, without any error where it stands in the last
column.
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable
from typing import IO

import numpy as np

from memtrain.core.errors import UserError

_QUOTE = ord('"')
#: What may stand before an opening quote and behind a closing one. A quote beside a quote is either
#: an escaped one (``""``) or an empty cell.
_BESIDE_QUOTES = np.frombuffer(b',\n\r"', np.uint8)


class QuoteWatch(io.RawIOBase):
    """A stream of CSV that someone else reads; it notices whether all quotes are regular.

    Quotes are regular where each opening quote begins a cell, each closing quote ends one, and none
    is open at the end. All other files need a closer look by ``refuse_irregular_quotes``.

    Args:
        stream: the bytes.

    Attributes:
        is_regular: whether the quotes were regular up to here.
    """

    def __init__(self, stream: IO[bytes] | gzip.GzipFile):
        self._stream = stream
        self._quotes = 0
        self._last = b"\n"
        self._last_quote_is_open = False
        self.is_regular = True

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, and look at their quotes."""
        content = self._stream.read(size)
        if self.is_regular:
            self._look_at(content)
        return content

    @property
    def ends_regularly(self) -> bool:
        """Whether all quotes were regular and none is open; to be asked at the end."""
        return self.is_regular and self._quotes % 2 == 0

    def _look_at(self, content: bytes) -> None:
        if _QUOTE not in content and not self._last_quote_is_open:
            self._last = content[-1:] or self._last
            return
        # The byte before the content and, unless it is known later, the one behind it.
        values = np.frombuffer(self._last + content, np.uint8)
        places = np.flatnonzero(values[1:] == _QUOTE) + 1
        opens = (np.arange(self._quotes, self._quotes + len(places)) % 2) == 0
        before = values[places[opens] - 1]
        closing = places[~opens]
        if self._last_quote_is_open:
            closing = np.concatenate([[0], closing])
        behind = values[closing[closing < len(values) - 1] + 1]
        self.is_regular = bool(
            np.isin(before, _BESIDE_QUOTES).all() and np.isin(behind, _BESIDE_QUOTES).all()
        )
        self._quotes += len(places)
        self._last_quote_is_open = bool(len(closing) and closing[-1] == len(values) - 1)
        self._last = content[-1:] or self._last


def refuse_irregular_quotes(name: str, lines: Iterable[str]) -> None:
    """Read a CSV file strictly, and refuse the first quote that no cell begins or ends with.

    Quotes within a cell that does not begin with one are letters like others.

    Args:
        name: name of the file, for messages.
        lines: its lines, the header among them.

    Raises:
        UserError: naming the row with the quote.
    """
    row = 0
    limit = csv.field_size_limit(sys.maxsize)
    try:
        for cells in csv.reader(lines, strict=True):
            row += bool(cells)
    except csv.Error as error:
        problem = (
            "a quote is opened and never closed, which makes the rest of the file one cell"
            if "unexpected end" in str(error)
            else "a closing quote is followed by more text"
        )
        raise UserError(
            f"{name}, row {row:,}: {problem}. Close the quote or remove it; a quote within "
            'a "quoted" cell is written twice.'
        ) from None
    finally:
        csv.field_size_limit(limit)
