"""A text as parts, from which Markdown (``markdown``) and a page (``html_page``) are made.

Texts are plain, but for code between backticks. A line break in them is a space.
"""

from dataclasses import dataclass

from memtrain.core.text_table import Table


@dataclass(frozen=True)
class Heading:
    """The title of what follows; that of the whole text has level 1."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Some sentences.

    Attributes:
        text: the sentences.
        is_alert: whether readers should see them before all else.
    """

    text: str
    is_alert: bool = False


@dataclass(frozen=True)
class Bullets:
    """Notes as a list."""

    notes: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table; the first column is aligned left, all others right."""

    rows: Table


@dataclass(frozen=True)
class Picture:
    """An image beside the text.

    Attributes:
        file: the name of its file, in the folder of the text.
        words: what it shows.
    """

    file: str
    words: str


@dataclass(frozen=True)
class Fold:
    """Parts that readers open when they want to know more."""

    title: str
    parts: "tuple[Part, ...]"


Part = Heading | Paragraph | Bullets | Grid | Picture | Fold
