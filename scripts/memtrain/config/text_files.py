"""The settings of text files: how the cells of ``.csv`` and ``.tsv`` files are written."""

import codecs
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from memtrain.config.types import FROM_TEXT, Settings
from memtrain.core.wording import shown

#: Names that stand for separators which YAML shows badly.
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "space": " "}

#: Characters that stand within numbers and words, and therefore separate no cells.
_NO_DELIMITERS = "\"'\n\r\0.+-_"

#: Encodings of other things than the text of a file.
_NO_ENCODINGS = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")


def _read_delimiter(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = _NAMED_DELIMITERS.get(value.lower(), value)
    if len(value) != 1 or not value.isascii() or value.isalnum() or value in _NO_DELIMITERS:
        raise ValueError(
            "cells are separated by one character, such as ';', '|', tab or space; letters, "
            "digits, quotes, '.', '+', '-' and '_' stand within cells"
        )
    return value


def _check_encoding(name: str) -> str:
    try:
        found = codecs.lookup(name).name
        is_text = isinstance("".encode(name), bytes) and found not in _NO_ENCODINGS
    except (LookupError, ValueError):
        is_text = False
    if not is_text:
        raise ValueError(
            "there is no such encoding of text; frequent ones are utf-8, latin-1, cp1252 "
            "(Windows), utf-16, cp437, mac_roman, shift_jis and gb18030"
        )
    return name


def _read_words(value: Any) -> Any:
    words = value if isinstance(value, list) else [value]
    return [_read_word(word) for word in words]


def _read_word(word: Any) -> Any:
    if type(word) is int:
        return str(word)
    if not isinstance(word, str):
        raise ValueError(
            f"{shown(word)} is no text; YAML takes words such as no, null and 1.50 for something "
            "else, so write the word in quotes, as it stands in the file"
        )
    return word


def _read_null_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(column): _read_words(words) for column, words in value.items()}
    return _read_words(value)


def _read_names(value: Any) -> Any:
    if value == "numbers":
        return value
    given = value if isinstance(value, list) else []
    if not given or not all(type(name) in (int, str) for name in given):
        raise ValueError(
            "a list of the names of all columns is needed, or the word numbers, which calls them "
            "0, 1 and so on"
        )
    return [str(name) for name in given]


_ColumnNames = Annotated[
    Annotated[list[str], Field(min_length=1)] | Literal["numbers"], BeforeValidator(_read_names)
]


class CsvSettings(Settings):
    """How text files are written: ``.csv``, ``.tsv``, ``.txt``, packed or not."""

    delimiter: Annotated[str, BeforeValidator(_read_delimiter)] | None = Field(
        default=None,
        description="Character between the cells of a line: a character, tab or space. null: tab "
        "in .tsv files, else a comma.",
    )
    decimal: Literal[".", ","] = Field(default=".", description="Decimal sign of numbers.")
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(
        default=None,
        description="Character between groups of three digits, as in 1,234,567; null for none.",
    )
    encoding: Annotated[str, AfterValidator(_check_encoding)] = Field(
        default="utf-8",
        description="Encoding of the letters, by any of Python's names: utf-8, latin-1, cp1252, "
        "utf-16, ...",
    )
    quote: Literal['"', "'", "none"] = Field(
        default='"',
        description="Quotes around cells that hold a delimiter or the end of a line. none: quotes "
        "are letters like others.",
    )
    null_values: Annotated[list[str] | dict[str, list[str]], BeforeValidator(_read_null_values)] = (
        Field(
            default_factory=list,
            description="Cells that are missing values, as they are written, such as NA; one list "
            "for all columns, or by column. Empty cells always are, and in columns of numbers also "
            "NA, N/A, NaN, null and None.",
        )
    )
    skip_rows: Annotated[int, Field(ge=0, le=2**31 - 1), FROM_TEXT] = Field(
        default=0, description="Lines above the header, which are not read, such as comments."
    )
    column_names: _ColumnNames | None = Field(
        default=None,
        description="Names of all columns, for files whose first line is a row; numbers: they are "
        "called 0, 1 and so on; null: the first line has the names.",
    )

    @model_validator(mode="after")
    def _check_signs(self) -> "CsvSettings":
        signs = {"delimiter": self.delimiter, "decimal": self.decimal, "thousands": self.thousands}
        for one, other in (("decimal", "thousands"), ("delimiter", "thousands")):
            if signs[one] == signs[other] and signs[one] is not None:
                raise ValueError(
                    f"{one} and {other} are both {signs[one]!r}, so that nobody can tell them "
                    "apart; change one"
                )
        return self

    def separator(self, ending: str) -> str:
        """Return what stands between the cells of a file.

        Args:
            ending: the ending of its name, such as ".tsv.gz".
        """
        return self.delimiter or ("\t" if ending.startswith(".tsv") else ",")

    def missing_words(self, column: str) -> list[str]:
        """Return the cells of a column that are missing values, as they are written."""
        if isinstance(self.null_values, list):
            return self.null_values
        if column in self.null_values:
            return self.null_values[column]
        return [
            word
            for pattern, words in self.null_values.items()
            if fnmatchcase(column, pattern)
            for word in words
        ]
