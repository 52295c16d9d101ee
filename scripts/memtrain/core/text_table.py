"""Tables in Markdown that read well in a terminal."""

from collections.abc import Sequence

#: Rows of cells; the first row holds the names of the columns.
Table = list[list[str]]


def column_widths(table: Table) -> list[int]:
    """Return the characters of each column, at least as many as its rule needs."""
    return [max(3, *map(len, column)) for column in zip(*table, strict=True)]


def text_table(table: Table) -> str:
    """Return a table as Markdown, with the first column aligned left and all others right."""
    widths = column_widths(table)
    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    head, *body = table
    return "\n".join(_line(row, widths) for row in (head, rule, *body))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
    return f"| {' | '.join(cells)} |"
