"""How a text file seems to be written: its encoding, its delimiter, its decimal sign."""

import codecs
import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from memtrain.config.dataset import TwoPaths
from memtrain.config.text_files import CsvSettings
from memtrain.data.tables.column_facts import ColumnFacts
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.source_files import ending_of, source_files
from memtrain.frontdoor.header import are_numbers, has_header

#: What separates cells, where the usual character makes one column of a file.
_OTHER_DELIMITERS = (";", "\t", "|")

_TEXT_FILES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
#: Bytes that are read at a time, and the most of a file that are looked at for its encoding.
_READ_BYTES = 1 << 20
_MOST_LOOKED_AT = 1 << 28

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_NUMBER_WITH_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+")


def spelling_of(path: str | TwoPaths) -> CsvSettings:
    """Return how the first file of a path is written, by its first lines.

    Two paths are read by the same settings: they are as usual where the files seem to differ.
    """
    if isinstance(path, TwoPaths):
        sides = [_spelling_of_file(source_files(one)[0]) for one in (path.features, path.target)]
        return sides[0] if sides[0] == sides[1] else CsvSettings()
    return _spelling_of_file(source_files(path)[0])


def _spelling_of_file(file: Path) -> CsvSettings:
    if ending_of(file) not in _TEXT_FILES:
        return CsvSettings()
    csv = CsvSettings(encoding=_encoding_of(file))
    names = open_tables([file], csv)[0].columns
    if delimiter := _other_delimiter(names):
        csv = csv.model_copy(update={"delimiter": delimiter})
    if has_header(file, csv):
        return csv
    return csv.model_copy(update={"column_names": "numbers"})


def _other_delimiter(cells: Sequence[str]) -> str | None:
    """Return what separates the cells of a first line; None where the usual character does."""
    if len(cells) == 1:
        found = next((one for one in _OTHER_DELIMITERS if one in cells[0]), None)
        numbers = cells[0].split(" ")
        return found or (" " if len(numbers) > 1 and are_numbers(numbers) else None)
    # Decimal commas cut numbers: 1,5;2,5 has the cells 1 and 5;2 and 5.
    numbers = ",".join(cells).split(";")
    return ";" if len(numbers) > 1 and are_numbers(numbers) else None


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
