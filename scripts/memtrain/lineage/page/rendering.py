"""Renders the page as one HTML file that holds its style, its programs and its content.

The content is JSON inside the page, and the programs show it as text, never as HTML. The content
security policy in the head of the page allows only programs with these digests to run, and the page
loads nothing.
"""

import base64
import hashlib
import html
import json
import os
from dataclasses import asdict
from pathlib import Path

from memtrain.lineage.page.content import PageContent
from memtrain.system.atomic_files import write_text

ASSETS = Path(__file__).parent / "assets"

STYLES = ("colours.css", "page.css", "graph_and_rows.css", "record.css")

#: The programs in the order in which they run; each may use those above it.
PROGRAMS = (
    "vendored/cytoscape-3.34.4.min.js",
    "vendored/dagre-3.1.3.min.js",
    "content.js",
    "reach.js",
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


def render(content: PageContent) -> str:
    """Return the HTML of a page."""
    programs = [_asset(name).strip() for name in PROGRAMS]
    parts = {
        "title": html.escape(f"{content.dataset} · lineage"),
        "policy": _policy(programs),
        "style": "\n".join(map(_asset, STYLES)),
        "content": _json(content),
        "programs": "\n".join(f"<script>{program}</script>" for program in programs),
    }
    page = _asset("page.html")
    for name, part in parts.items():
        before, mark, after = page.partition(f"<!-- {name} -->")
        assert mark, name
        page = before + part + after
    return page


def write_page(path: str | os.PathLike, content: PageContent) -> None:
    """Write the HTML of a page to a file."""
    write_text(path, render(content))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _policy(programs: list[str]) -> str:
    """Return the content security policy: only these programs run, and nothing is loaded."""
    digests = " ".join(f"'sha256-{_digest(program)}'" for program in programs)
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(program: str) -> str:
    return base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()


def _json(content: PageContent) -> str:
    """Return the content as JSON without "<", so that no text in it can end its element."""
    text = json.dumps(asdict(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
