"""Puts a page together: its HTML, style and programs, and what it shows, all in one text.

What it shows stands in the page as JSON that no browser takes for anything else, and comes to the
screen as text, never as HTML. The policy in the page's head lets run these programs alone, by their
digests, and load nothing from anywhere.
"""

import base64
import hashlib
import html
import json
import os
from pathlib import Path
from typing import Any

from memtrain.system.atomic_files import write_text

ASSETS = Path(__file__).parent / "assets"

STYLES = ("colours.css", "page.css", "graph_and_rows.css", "record.css")

#: In the order in which they run; each uses those above it.
PROGRAMS = (
    "vendored/cytoscape-3.34.4.min.js",
    "vendored/dagre-3.1.3.min.js",
    "content.js",
    "reaching.js",
    "graph_layout.js",
    "graph_style.js",
    "graph.js",
    "strip_drawing.js",
    "strip.js",
    "record_parts.js",
    "record.js",
    "search.js",
    "page.js",
)


def render(content: dict[str, Any]) -> str:
    """Return the page that shows ``content`` (see ``content.page_content``)."""
    programs = [_asset(name).strip() for name in PROGRAMS]
    parts = {
        "title": html.escape(f"{content['dataset']} · lineage"),
        "policy": _policy(programs),
        "style": "\n".join(map(_asset, STYLES)),
        "content": _as_text_of_script(content),
        "programs": "\n".join(f"<script>{program}</script>" for program in programs),
    }
    page = _asset("page.html")
    for name, part in parts.items():
        before, mark, after = page.partition(f"<!-- {name} -->")
        assert mark, name
        page = before + part + after
    return page


def write_page(path: str | os.PathLike, content: dict[str, Any]) -> None:
    """Write the page that shows ``content``."""
    write_text(path, render(content))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _policy(programs: list[str]) -> str:
    digests = " ".join(f"'sha256-{_digest(program)}'" for program in programs)
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(program: str) -> str:
    return base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()


def _as_text_of_script(content: dict[str, Any]) -> str:
    """Return JSON that holds no "<", so that nothing in it can end the element or begin another."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
