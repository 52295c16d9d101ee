"""The text of a CSV file: decoded to UTF-8, without what stands above its header.

Arrow reads UTF-8 alone. Bytes that are no letters of the file's encoding become the byte 0xff,
which no UTF-8 text holds. So they do no harm in columns that are not read, and where a column is
read they are refused with their row.
"""

import codecs
import csv
import gzip
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO

from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError

#: Function that opens a stream of bytes, at its beginning every time.
Opener = Callable[[], AbstractContextManager[IO[bytes] | gzip.GzipFile]]

_CHUNK_BYTES = 1 << 18
_LINE_END = re.compile(rb"\r\n|\r|\n")
_ERRORS = "memtrain.no-letter"

#: What files in an encoding begin with; a longer mark before one that it begins with.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _replace_wrong_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    assert isinstance(error, UnicodeEncodeError)
    return b"\xff" * (error.end - error.start), error.end


codecs.register_error(_ERRORS, _replace_wrong_bytes)


class RecordError(Exception):
    """A record of a CSV file that cannot be read.

    Attributes:
        line: number of the line where it begins, from 1.
    """

    def __init__(self, reason: str, line: int):
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True)
class CsvText:
    """The text of a CSV file.

    Attributes:
        name: the file, or "file:member", for messages.
        open_bytes: function that opens the file's bytes.
        settings: how the file is written.
        delimiter: the character between cells.
    """

    name: str
    open_bytes: Opener
    settings: CsvSettings
    delimiter: str

    @property
    def quote(self) -> str | None:
        """The character around quoted cells; None where quotes are letters like others."""
        return None if self.settings.quote == "none" else self.settings.quote

    @property
    def has_header(self) -> bool:
        """Whether the first line has the names of the columns."""
        return self.settings.column_names is None

    @contextmanager
    def stream(self) -> Iterator["Utf8Stream"]:
        """Open the text as UTF-8, from the header on."""
        with self.open_bytes() as stream:
            yield Utf8Stream(stream, self.settings.encoding, self.settings.skip_rows)

    @contextmanager
    def records(self, strict: bool = False) -> Iterator[Iterator[tuple[int, list[str]]]]:
        """Open the records: the number of the line where each begins, from 1, and its cells.

        Blank lines are no records. This is slow, and meant for the header and for messages.

        Args:
            strict: whether quotes that are not closed, or have text behind them, are errors.

        Raises:
            RecordError: by the iterator, for a record that cannot be read.
        """
        limit = csv.field_size_limit(sys.maxsize)
        try:
            with self.stream() as stream:
                yield self._records(stream, strict)
        finally:
            csv.field_size_limit(limit)

    def _records(self, stream: "Utf8Stream", strict: bool) -> Iterator[tuple[int, list[str]]]:
        # The stubs ask for attributes of streams that are not used here.
        lines = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")  # type: ignore
        reader = csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=strict,
        )
        line = self.settings.skip_rows + 1
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = self.settings.skip_rows + reader.line_num + 1
        except csv.Error as error:
            raise RecordError(str(error), line) from None

    def place(self, row: int, line: int | None = None) -> str:
        """Return where a row stands, for messages: "houses.csv, line 18 (row 16)".

        Args:
            row: number of the row, from 0; -1 for the header.
            line: number of its first line, from 1, if it is known; else the file is read for it.
        """
        if line is None:
            wanted = row + self.has_header
            with self.records() as records:
                line = next((line for line, _ in islice(records, wanted, None)), None)
        if line is None:
            return f"{self.name}, row {row:,}"
        return f"{self.name}, line {line:,} ({f'row {row:,}' if row >= 0 else 'the header'})"

    def check_encoding(self) -> None:
        """Refuse a file that begins as no file in its encoding does.

        Raises:
            UserError: naming the encoding that the file seems to have, if there is one.
        """
        with self.open_bytes() as stream:
            start = stream.read(64)
        given = codecs.lookup(self.settings.encoding).name
        meant = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        if meant is None and given == "utf-8" and start[1::2].count(0) > len(start) // 4:
            meant = "utf-16-le"
        if meant and not given.startswith(meant.removesuffix("-le")):
            raise UserError(
                f"{self.name}: it begins like a file in {meant}, and it is read as "
                f"{self.settings.encoding}. Set `csv: {{encoding: {meant}}}`."
            )
        try:
            codecs.getincrementaldecoder(given)(_ERRORS).decode(start)
        except UnicodeError as error:
            raise UserError(
                f"{self.name}: it is no text in {self.settings.encoding} ({error}). Name the "
                "encoding of the file under `csv`, or leave it out for UTF-8."
            ) from None


class Utf8Stream(io.RawIOBase):
    """A stream of text in UTF-8, made of bytes in any encoding.

    Args:
        stream: the bytes.
        encoding: their encoding.
        skipped_lines: number of lines at the beginning that are left out.
    """

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, encoding: str, skipped_lines: int = 0):
        self._stream = stream
        is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
        # UTF-8 is passed on as it is, so that messages show wrong bytes as they stand in the file.
        self._decoder = None if is_utf8 else codecs.getincrementaldecoder(encoding)(_ERRORS)
        self._ready = b""
        self._has_ended = False
        self._fill(len(codecs.BOM_UTF8))
        self._ready = self._ready.removeprefix(codecs.BOM_UTF8)
        if skipped_lines:
            self._skip(skipped_lines)

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end."""
        self._fill(size)
        if size < 0 or size >= len(self._ready):
            content, self._ready = self._ready, b""
        else:
            content, self._ready = self._ready[:size], self._ready[size:]
        return content

    def _fill(self, size: int) -> None:
        """Read until some bytes are ready; all of them if the size is negative."""
        if self._has_ended or 0 <= size <= len(self._ready):
            return
        parts, ready = [self._ready], len(self._ready)
        while not self._has_ended and (size < 0 or ready < size):
            parts.append(self._next(max(_CHUNK_BYTES, size - ready)))
            ready += len(parts[-1])
        self._ready = b"".join(parts)

    def _next(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._has_ended = not content
        if self._decoder is None:
            return content
        return self._decoder.decode(content, final=self._has_ended).encode("utf-8", _ERRORS)

    def _skip(self, lines: int) -> None:
        end = 0
        while lines:
            found = _LINE_END.search(self._ready, end)
            if found is None or (found.end() == len(self._ready) and not self._has_ended):
                # The line goes on, or "\n" follows the "\r" at its end.
                before = len(self._ready)
                self._fill(before + _CHUNK_BYTES)
                if found is None and self._has_ended and len(self._ready) == before:
                    end = before
                    break
                continue
            end = found.end()
            lines -= 1
        self._ready = self._ready[end:]
