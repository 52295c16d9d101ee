"""Writes every generated page; what has not changed is left alone, so that Sphinx can skip it."""

from collections.abc import Callable
from pathlib import Path

from docs.generate.architecture import architecture_drawing, architecture_table
from docs.generate.command_lines import command_lines_page
from docs.generate.configuration import configuration_page
from docs.generate.outside_code import outside_list

DOCS = Path(__file__).resolve().parents[1]

PAGES: dict[str, Callable[[], str]] = {
    "reference/generated/configuration.md": configuration_page,
    "reference/generated/command_lines.md": command_lines_page,
    "concepts/generated/outside.md": outside_list,
    "developing/generated/folders.md": architecture_table,
    "developing/generated/folders.svg": architecture_drawing,
}


def write_pages() -> None:
    """Write the generated pages below docs/."""
    for name, content in PAGES.items():
        path, text = DOCS / name, content()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
