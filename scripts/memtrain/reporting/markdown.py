"""Writes documents as Markdown that reads well in a terminal."""

import textwrap
from collections.abc import Iterable

from memtrain.core.text_table import text_table
from memtrain.reporting.document import (
    Bullets,
    Fold,
    Grid,
    Heading,
    Paragraph,
    Part,
    Picture,
)

_LINE_LENGTH = 100


def markdown(parts: Iterable[Part]) -> str:
    """Return a document as Markdown, which ends with a line break."""
    return "\n\n".join(map(_part, parts)) + "\n"


def _part(part: Part) -> str:
    match part:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text, _):
            return _filled(text)
        case Bullets(notes):
            return "\n".join(_filled(note, "- ") for note in notes)
        case Grid(rows):
            return text_table(rows)
        case Picture(file, words):
            return f"![{words}]({file})"
        case Fold(title, parts):
            inner = "\n\n".join(map(_part, parts))
            return f"<details>\n<summary>{title}</summary>\n\n{inner}\n\n</details>"


def _filled(text: str, mark: str = "") -> str:
    """Return a text in lines; those after the first one are as far from the left as the mark."""
    return textwrap.fill(
        # A browser would take it for the start of a tag.
        " ".join(text.split()).replace("<", "\\<"),
        _LINE_LENGTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
