"""Phrases that messages share: counts with a noun, lists, durations, corrections of a word."""

import difflib
import math
import re
import reprlib
from collections.abc import Iterable

#: Most characters of a path that a message repeats.
_LONGEST_PATH = 300

#: Most characters of a value that a message repeats.
_LONGEST_VALUE = 200

#: Most digits of an integer that a message repeats.
_LONGEST_NUMBER = 50

_SURROGATES = re.compile("[\ud800-\udfff]+")


class _ShortRepr(reprlib.Repr):
    """Writes a value of any size and depth in a time that does not depend on either."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 20
        self.maxstring = self.maxother = _LONGEST_VALUE

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of thousands of digits.
        digits = round(x.bit_length() * math.log10(2))
        return f"a number of about {digits} digits" if digits > _LONGEST_NUMBER else repr(x)


_SHORT_REPR = _ShortRepr()


def shown(value: object) -> str:
    """Return a value as Python code, for a message; only the beginning if it is long."""
    text = _SHORT_REPR.repr(value)
    return f"{text[:_LONGEST_VALUE]} ..." if len(text) > _LONGEST_VALUE else text


def shown_path(path: str) -> str:
    """Return a path that a user named as it is, or as Python code if it would not be read well."""
    return path if path.isprintable() and 0 < len(path) <= _LONGEST_PATH else shown(path)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the known word that is most similar, or an empty string."""
    if not isinstance(word, str) or len(word) > _LONGEST_VALUE:
        return ""
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def counted(number: int, noun: str) -> str:
    """Return "1 file" or "2 files" for the noun "file"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Iterable[object], limit: int = 20) -> str:
    """Return the words as "a, b, c"; of more than ``limit`` words, the rest as "and 5 more"."""
    texts = [str(word) for word in words]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")


def without_middle(name: str, length: int) -> str:
    """Return a name of at most so many characters, which loses its middle where it is longer.

    Names of splits often differ at their ends alone.
    """
    if len(name) <= length:
        return name
    end = length // 2
    return f"{name[: length - 1 - end]}…{name[len(name) - end :]}"


def duration_text(seconds: float) -> str:
    """Return a number of seconds as "2:03", minutes and seconds, or "1:02:03" with hours."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def readable(text: str) -> str:
    """Return a text that every file and terminal can take.

    Python gives bytes that it cannot decode, in arguments and in names of files, as surrogates.
    They are read as UTF-8 here, which Python does not do in the locale "C", and otherwise as
    Latin-1. Other surrogates are replaced by U+FFFD.
    """
    return _SURROGATES.sub(_readable_characters, text)


def _readable_characters(match: re.Match[str]) -> str:
    try:
        return match[0].encode(errors="surrogateescape").decode()
    except UnicodeError:
        return "".join(map(_readable_character, match[0]))


def _readable_character(surrogate: str) -> str:
    byte = ord(surrogate) - 0xDC00
    return chr(byte) if 0x80 <= byte <= 0xFF else "\N{REPLACEMENT CHARACTER}"
