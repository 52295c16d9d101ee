"""How a text file seems to be written: its delimiter, its decimal sign, its header."""

import codecs
import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from memtrain.config.dataset import TwoPaths
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.tables.column_facts import ColumnFacts
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.source_files import ending_of, source_files

#: What separates cells, where the usual character makes one column of a file.
_OTHER_DELIMITERS = (";", "\t", "|")

_TEXT_FILES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
#: Bytes that are read at a time, and the most of a file that are looked at for its encoding.
_READ_BYTES = 1 << 20
_MOST_LOOKED_AT = 1 << 28

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NUMBER_WITH_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+")


def spelling_of(path: str | TwoPaths) -> CsvSettings:
    """Return how the first file of a path is written, by its header.

    Raises:
        UserError: where its first line seems to be a row, so that no column has a name.
    """
    if isinstance(path, TwoPaths):
        return CsvSettings()
    file = source_files(path)[0]
    if ending_of(file) not in _TEXT_FILES:
        return CsvSettings()
    csv = CsvSettings(encoding=_encoding_of(file))
    names = open_tables([file], csv)[0].columns
    if len(names) == 1:
        for delimiter in _OTHER_DELIMITERS:
            if delimiter in names[0]:
                return csv.model_copy(update={"delimiter": delimiter})
    if names and all(map(_NUMBER.fullmatch, names)):
        raise UserError(
            f"{file}: its first line has the numbers {listed(names, 5)} in the place of names. "
            f"Name the {len(names)} columns, in their order: --csv '{{column_names: [a, b, ...]}}'."
        )
    return csv


def _encoding_of(file: Path) -> str:
    """Return the encoding that a text file seems to have: cp1252 where it is no UTF."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            while chunk := stream.read(_READ_BYTES):
                if decoder.getstate() == (b"", 0) and chunk.startswith(_UTF_16):
                    return "utf-16"
                decoder.decode(chunk)
                if stream.tell() > _MOST_LOOKED_AT:
                    break
    except UnicodeDecodeError:
        return "cp1252"
    except (OSError, EOFError, zlib.error):
        pass  # It is told where the table is opened.
    return "utf-8"


def with_decimal_comma(csv: CsvSettings, columns: Sequence[ColumnFacts]) -> CsvSettings | None:
    """Return settings for numbers such as 1,5 where a column seems to hold such; else None.

    Args:
        csv: how the file was read.
        columns: what was found in its columns.
    """
    is_possible = csv.delimiter is not None and csv.decimal == "."
    found = any(
        column.kind == "text"
        and column.examples
        and all(_NUMBER_WITH_COMMA.fullmatch(str(one).strip()) for one in column.examples)
        for column in columns
    )
    return csv.model_copy(update={"decimal": ","}) if is_possible and found else None
