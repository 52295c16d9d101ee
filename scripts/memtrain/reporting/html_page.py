"""Writes documents as a page of one file, which needs no other file and no network."""

import base64
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from memtrain.core.text_table import Table
from memtrain.reporting.document import (
    Bullets,
    Fold,
    Grid,
    Heading,
    Paragraph,
    Part,
    Picture,
)

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem 1.5rem 3rem; max-width: 85rem; background: #fff;
  color: #22262b; font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 0.5rem; }
p, ul { max-width: 50rem; overflow-wrap: anywhere; }
.alert { border-left: 4px solid #d55e00; padding: 0.3rem 0.8rem; background: #fdf3ec; }
code { background: #f1f3f5; padding: 0 0.2em; border-radius: 3px; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.87rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
td:first-child span { display: inline-block; width: max-content; max-width: 24rem;
  white-space: normal; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid #6b717b; vertical-align: bottom; white-space: normal; }
tbody td { border-bottom: 1px solid #e4e7eb; }
tbody tr:hover td { background: #f1f5f9; }
img { max-width: 100%; }
details { border-top: 1px solid #e4e7eb; padding: 0.5rem 0; }
summary { cursor: pointer; font-weight: 600; }
"""


def html_page(parts: Iterable[Part], folder: Path) -> str:
    """Return a document as an HTML page.

    Args:
        parts: the document, whose first part is its heading.
        folder: the folder of the pictures, which become a part of the page.
    """
    known = list(parts)
    title = next((part.text for part in known if isinstance(part, Heading)), "")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(_part(part, folder) for part in known)
        + "\n</body>\n</html>\n"
    )


def _part(part: Part, folder: Path) -> str:
    match part:
        case Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text, is_alert):
            kind = ' class="alert"' if is_alert else ""
            return f"<p{kind}>{_inline(text)}</p>"
        case Bullets(notes):
            return "<ul>\n" + "\n".join(f"<li>{_inline(note)}</li>" for note in notes) + "\n</ul>"
        case Grid(rows):
            return _table(rows)
        case Picture(file, words):
            data = base64.b64encode((folder / file).read_bytes()).decode()
            return f'<p><img alt="{escape(words)}" src="data:image/png;base64,{data}"></p>'
        case Fold(title, parts):
            inner = "\n".join(_part(one, folder) for one in parts)
            return f"<details>\n<summary>{_inline(title)}</summary>\n{inner}\n</details>"


def _table(rows: Table) -> str:
    head, *body = rows
    lines = [
        '<div class="table"><table>',
        f"<thead><tr>{''.join(f'<th>{_inline(cell)}</th>' for cell in head)}</tr></thead>",
        "<tbody>",
        *map(_line, body),
        "</tbody>",
        "</table></div>",
    ]
    return "\n".join(lines)


def _line(row: list[str]) -> str:
    name, *cells = map(_inline, row)
    return f"<tr><td><span>{name}</span></td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _inline(text: str) -> str:
    """Return a text as HTML, with code between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
