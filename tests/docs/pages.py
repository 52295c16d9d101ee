"""What the Markdown pages hold that can be tested: blocks, inline commands, links and markers.

A marker is an HTML comment, which no reader sees:

``<!-- test: setup: COMMAND -->``
    COMMAND is run in the project of the page at this point.
``<!-- test: in: FOLDER -->``
    Commands from here on run in FOLDER of the project.
``<!-- test: not run: REASON -->``
    The next block is not run; the files and options that it names are checked all the same.
``<!-- test: numbers vary -->``
    Numbers in the output of the next block may differ.
``<!-- test: change: FILE -->``
    The keys of the next block, of YAML, are written into FILE of the project.
``<!-- test: table: FILE -->``
    The next table is the first one of FILE with this header, but for its numbers.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKER = re.compile(
    r"<!-- test: (setup|in|not run|numbers vary|change|table)(?:: (.*?))? -->", re.DOTALL
)
_COMMANDS = ("make ", "python ", "pip ", "snakemake ", "pytest ")


@dataclass(frozen=True)
class Marker:
    """What a comment in a page asks of the tests."""

    kind: str
    text: str = ""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, or a table that a marker stands before.

    Attributes:
        line: number of its first line inside the fence, from 1.
        language: the word after the fence; "table" for a table.
        text: what stands between the fences, or the lines of the table.
        markers: the markers right before it that concern it alone.
    """

    line: int
    language: str
    text: str
    markers: tuple[Marker, ...] = ()

    @property
    def file_name(self) -> str | None:
        """Return the file that the block shows, where its first line names one in a comment."""
        match = re.match(r"# ([\w./-]+(?:\.py|\.yaml|/Snakefile))\b", self.text)
        return match[1] if match else None

    def has(self, kind: str) -> bool:
        """Return whether a marker of this kind stands before the block."""
        return self.told(kind) is not None

    def told(self, kind: str) -> str | None:
        """Return the text of the marker of this kind, where there is one."""
        return next((marker.text for marker in self.markers if marker.kind == kind), None)


@dataclass(frozen=True)
class Page:
    """A Markdown file.

    Attributes:
        steps: blocks, and markers that concern the page from there on, in order.
        inline_commands: line and text of inline code that is a command.
        links: line and target of links and images that lead to files of the repository.
    """

    path: Path
    steps: list[Block | Marker] = field(default_factory=list)
    inline_commands: list[tuple[int, str]] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block]:
        """Return the fenced blocks."""
        return [step for step in self.steps if isinstance(step, Block)]


def read_page(path: Path) -> Page:
    """Return what a Markdown file holds.

    Raises:
        ValueError: for a comment that begins as a marker and is none.
    """
    page = Page(path)
    pending: list[Marker] = []
    lines = path.read_text().splitlines()
    for token in MarkdownIt("commonmark").enable("table").parse("\n".join(lines)):
        if token.type == "fence":
            line = token.map[0] + 2
            page.steps.append(Block(line, token.info.strip(), token.content, tuple(pending)))
            pending = []
        elif token.type == "table_open" and pending:
            first, end = token.map
            table = "\n".join(lines[first:end])
            page.steps.append(Block(first + 1, "table", table, tuple(pending)))
            pending = []
        elif token.type == "html_block":
            for marker in _markers(token.content, f"{path}:{token.map[0] + 1}"):
                (page.steps if marker.kind in ("setup", "in") else pending).append(marker)
        elif token.type == "inline":
            _read_inline(page, token)
    if pending:
        raise ValueError(f"{path}: no block follows the marker {pending[0]}")
    return page


def _markers(html: str, place: str) -> list[Marker]:
    found = [Marker(match[1], (match[2] or "").strip()) for match in _MARKER.finditer(html)]
    if html.count("<!-- test") != len(found):
        raise ValueError(f"{place}: this is no marker: {html}")
    return found


def _read_inline(page: Page, token: Token) -> None:
    line = token.map[0] + 1
    for child in token.children or []:
        if child.type == "code_inline" and child.content.startswith(_COMMANDS):
            page.inline_commands.append((line, child.content))
        target = child.attrs.get("href" if child.type == "link_open" else "src")
        if target and not re.match(r"[a-z]+:", str(target)):
            page.links.append((line, str(target)))


def all_pages(repository: Path) -> list[Path]:
    """Return the Markdown files of the repository that people read."""
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md")
    top = [repository / name for name in names]
    folders = [*repository.glob("docs/**/*.md"), *repository.glob("examples/*/README.md")]
    pages = [*top, *sorted(folders)]
    return [page for page in pages if page.exists() and "generated" not in page.parts]
