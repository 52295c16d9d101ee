"""Tables and lists in Markdown that read well in a terminal."""

from collections.abc import Iterator

#: Rows of cells; the first row holds the names of the columns.
Table = list[list[str]]


def bullets(notes: Iterator[str]) -> str:
    """Return notes as a list."""
    return "\n".join(f"- {note}" for note in notes)


def markdown(table: Table) -> str:
    """Return a table as Markdown, with the first column aligned left and all others right."""
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (*table, rule)
    ]
    lines.insert(1, lines.pop())
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
