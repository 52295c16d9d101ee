"""What the terminal shows of ``summary.md``: what stands before its first fold, as wide as fits."""

import re
import textwrap

from memtrain.core.text_table import Table, column_widths, text_table
from memtrain.core.wording import without_middle

#: Lines of a table at most; the file has all.
_MOST_LINES = 60

#: Columns that matter more than whole names: the split, its main metric, and the baseline.
_MOST_WANTED = 3

#: Least characters that a long name keeps.
_SHORTEST_NAME = 20

_CELL_BORDER = re.compile(r"(?<!\\)\|")
_FIRST_FOLD = "<details>"


def results_on_terminal(summary: str, width: int | None = None) -> str:
    """Return what a summary says before its first fold, without its title and its figure.

    Args:
        summary: the summary in Markdown.
        width: the characters of a line; None for any number.
    """
    parts = summary.partition(_FIRST_FOLD)[0].split("\n\n")
    shown = [part for part in map(str.strip, parts) if part and not part.startswith(("# ", "!["))]
    return "\n\n".join(_fitted(part, width) for part in shown)


def _fitted(part: str, width: int | None) -> str:
    if part.startswith("|"):
        return _fitted_table(part.splitlines(), width)
    text = part.removeprefix("## ").replace("\\<", "<")
    return text if width is None else "\n".join(_filled(one, width) for one in _items(text))


def _items(text: str) -> list[str]:
    """Return the notes of a list, or a paragraph, each without its line breaks."""
    notes = re.split(r"\n(?=- )", text)
    return [" ".join(note.split()) for note in notes]


def _filled(text: str, width: int) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _fitted_table(lines: list[str], width: int | None) -> str:
    """Return a table in lines that are no longer than the width, as far as two columns fit.

    The last columns are left out, and named below. Where there is no room for the first three, long
    names lose their middle.
    """
    rows = [[cell.strip() for cell in _CELL_BORDER.split(line)[1:-1]] for line in lines]
    head, body = rows[0], rows[2:]
    hidden = len(body) - _MOST_LINES
    more = [f"... and {hidden:,} more lines"] if hidden > 0 else []
    body = body[:_MOST_LINES]
    if width is None:
        return "\n".join([*lines[: 2 + len(body)], *more])
    rows, count = [head, *body], len(head)
    while count > _MOST_WANTED and _width([row[:count] for row in rows]) > width:
        count -= 1
    rows = _with_short_names([row[:count] for row in rows], width)
    while count > 2 and _width([row[:count] for row in rows]) > width:
        count -= 1
    if left_out := head[count:]:
        more.append(f"Not shown for want of room: {', '.join(left_out)}.")
    text = text_table([row[:count] for row in rows])
    return "\n".join([text, *(textwrap.fill(one, width) for one in more)])


def _with_short_names(rows: Table, width: int) -> Table:
    """Return rows whose first cells are cut in their middle where the table is too wide."""
    longest = max(len(row[0]) for row in rows)
    excess = _width(rows) - width
    room = max(_SHORTEST_NAME, longest - max(0, excess))
    return [[without_middle(row[0], room), *row[1:]] for row in rows]


def _width(rows: Table) -> int:
    """Return the characters of the lines of a table."""
    return sum(3 + one for one in column_widths(rows)) + 1
