"""Counts the records of CSV files, and checks their quotes to the end.

Arrow, like most readers of CSV, takes everything up to the next quote for one cell. A quote that is
never closed thereby swallows the rest of the file, without any error where it stands in the last
column. And no reader is trusted to have seen all rows: what it returns is compared with the ends of
lines that lie outside of quotes.
"""

import io

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.tables.csv_text import CsvText, RecordError, Utf8Stream

_LINE_FEED, _RETURN = b"\n\r"


class RecordWatch(io.RawIOBase):
    """A stream of CSV that someone else reads; it counts records and looks at quotes.

    Quotes are regular where each opening quote begins a cell, each closing quote ends one, and none
    is open at the end. All other files need a closer look by ``count_strictly``.

    Args:
        stream: the text.
        delimiter: the character between cells.
        quote: the character around quoted cells; None where quotes are letters like others.
        has_header: whether the first record has the names of the columns.

    Attributes:
        is_regular: whether the quotes were regular up to here.
        has_inner_blanks: whether a blank line stands between two rows.
        end_of_rows: number of bytes up to the end of the last record in the bytes that were read
            last; 0 where none ends in them.
    """

    def __init__(
        self,
        stream: Utf8Stream,
        delimiter: str = ",",
        quote: str | None = '"',
        has_header: bool = True,
    ):
        self._stream = stream
        self._quote = ord(quote) if quote else None
        # What may stand before an opening quote and behind a closing one. A quote beside a quote is
        # either an escaped one ("") or an empty cell.
        beside = f"{delimiter}\n\r{quote or ''}"
        self._beside_quotes = np.frombuffer(beside.encode(), np.uint8)
        self._has_header = has_header
        self._quotes = 0
        self._ended_records = 0
        self._last = b"\n"
        self._last_quote_is_open = False
        self._has_blank = False
        self.is_regular = True
        self.has_inner_blanks = False
        self.end_of_rows = 0

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, and look at them."""
        content = self._stream.read(size)
        if content and self.is_regular:
            self._look_at(content)
        return content

    @property
    def ends_regularly(self) -> bool:
        """Whether all quotes were regular and none is open; to be asked at the end."""
        return self.is_regular and self._quotes % 2 == 0

    @property
    def records(self) -> int:
        """The number of records, the header among them; to be asked at the end."""
        return self._ended_records + (self._last not in b"\n\r")

    def end_of_header(self, piece: bytes) -> int:
        """Return the number of bytes up to the end of the first record of a text."""
        values = np.frombuffer(b"\n" + piece, np.uint8)
        places = np.flatnonzero(values == self._quote) if self._quote is not None else values[:0]
        is_end = (values == _LINE_FEED) | (values == _RETURN)
        ends = np.flatnonzero(is_end[1:] & ~is_end[:-1]) + 1
        return int(ends[np.searchsorted(places, ends) % 2 == 0][0])

    def _look_at(self, content: bytes) -> None:
        # With the byte before the content.
        values = np.frombuffer(self._last + content, np.uint8)
        places = np.zeros(0, np.int64)
        if self._quote is not None and (self._quote in content or self._last_quote_is_open):
            places = np.flatnonzero(values[1:] == self._quote) + 1
            self._check_quotes(values, places)
        self._count_records(values, places)
        self._quotes += len(places)
        self._last = content[-1:]

    def _check_quotes(self, values: np.ndarray, places: np.ndarray) -> None:
        opens = (np.arange(self._quotes, self._quotes + len(places)) % 2) == 0
        before = values[places[opens] - 1]
        closing = places[~opens]
        if self._last_quote_is_open:
            closing = np.concatenate([[0], closing])
        # The byte behind the last quote may be known later.
        behind = values[closing[closing < len(values) - 1] + 1]
        self.is_regular = bool(
            np.isin(before, self._beside_quotes).all()
            and np.isin(behind, self._beside_quotes).all()
        )
        self._last_quote_is_open = bool(len(closing) and closing[-1] == len(values) - 1)

    def _count_records(self, values: np.ndarray, quotes: np.ndarray) -> None:
        is_end = (values == _LINE_FEED) | (values == _RETURN)
        ends = np.flatnonzero(is_end[1:]) + 1
        if self._quotes or len(quotes):
            ends = ends[(np.searchsorted(quotes, ends) + self._quotes) % 2 == 0]
        # An end of a line behind another one ends no record. It is the "\n" of "\r\n", or ends a
        # blank line.
        follows_end = is_end[ends - 1]
        of_records = ends[~follows_end]
        behind = ends[follows_end]
        blanks = behind[(values[behind] != _LINE_FEED) | (values[behind - 1] != _RETURN)]
        self._note_blanks(of_records, blanks, int(values[-1]))
        self._ended_records += len(of_records)
        self.end_of_rows = int(of_records[-1]) if len(of_records) else 0

    def _note_blanks(self, of_records: np.ndarray, blanks: np.ndarray, last: int) -> None:
        """Notice a blank line below the header that has a row below it."""
        first = 0
        if not self._has_blank:
            ended = self._ended_records + np.searchsorted(of_records, blanks)
            below_header = blanks[ended >= self._has_header]
            if not len(below_header):
                return
            self._has_blank, first = True, int(below_header[0])
        is_within_row = last not in (_LINE_FEED, _RETURN)
        if is_within_row or bool(len(of_records) and of_records[-1] > first):
            self.has_inner_blanks = True


def count_strictly(text: CsvText) -> int:
    """Return the number of records of a file, the header among them, and check its quotes.

    Quotes within a cell that does not begin with one are letters like others.

    Raises:
        UserError: for the first quote that is not closed, or has text behind it.
    """
    count = 0
    try:
        with text.records(strict=True) as records:
            for _ in records:
                count += 1
    except RecordError as error:
        problem = (
            "a quote is opened and never closed, which makes the rest of the file one cell"
            if "unexpected end" in str(error)
            else "a closing quote is followed by more text"
        )
        raise UserError(
            f"{text.place(count - text.has_header, error.line)}: {problem}. Close the quote or "
            'remove it; a quote within a "quoted" cell is written twice. If quotes are letters '
            "like others in this file, set `csv: {quote: none}`."
        ) from None
    return count
