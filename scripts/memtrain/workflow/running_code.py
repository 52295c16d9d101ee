"""The part of a file of code that runs: without comments, docstrings and blank lines.

Two versions of a file that differ only in these do the same, so digests of code leave them out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

#: Code that mentions one of these may read its own comments or docstrings.
_READS_ITSELF = re.compile(r"__doc__|\binspect\b|\blinecache\b|\btorch\.jit\b|\bgetsource")

_STRING_STARTS = ("STRING", "FSTRING_START", "TSTRING_START")
_STRING_ENDS = ("STRING", "FSTRING_END", "TSTRING_END")


class _Place(NamedTuple):
    """A place in a text: the number of the line, from 1, and the number of the character in it."""

    line: int
    column: int


class _Span(NamedTuple):
    """A part of a text, from its first place to the place behind its last character."""

    start: _Place
    end: _Place


def running_code(path: Path) -> bytes:
    """Return the part of a file that runs.

    The whole file is returned if it is no Python, cannot be parsed, or mentions something by which
    code reads itself, like ``inspect``. The result does not depend on the version of Python.

    Args:
        path: the file.
    """
    content = path.read_bytes()
    if path.suffix != ".py":
        return content
    try:
        with tokenize.open(path) as file:
            text = _without_what_does_not_run(file.read())
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return content
    return content if _READS_ITSELF.search(text) else text.encode()


def _without_what_does_not_run(text: str) -> str:
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    comments = [_span(one) for one in tokens if one.type == tokenize.COMMENT]
    # Not splitlines, which also cuts at form feeds.
    lines = list(io.StringIO(text))
    docstrings = list(_docstrings(text, lines))
    cuts = _by_line(sorted([*comments, *docstrings]), lines)
    cuts_by_line = {line: list(cuts) for line, cuts in groupby(cuts, _line_of)}
    in_strings = _lines_that_end_in_strings(tokens)
    for start, end in docstrings:
        in_strings.difference_update(range(start.line, end.line))
    kept: list[str] = []
    for number, line in enumerate(lines, 1):
        rest = _cut(line, cuts_by_line.get(number, []))
        # Blanks at the end of a line count only within a string.
        rest = rest if number in in_strings else rest.rstrip()
        if rest:
            kept.append(rest if number in in_strings else rest + "\n")
    return "".join(kept)


def _span(token: tokenize.TokenInfo) -> _Span:
    return _Span(_Place(*token.start), _Place(*token.end))


def _docstrings(text: str, lines: list[str]) -> Iterator[_Span]:
    """Yield the places of the docstrings of the module, its classes and its functions."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            value = first.value
            assert value.end_lineno is not None
            assert value.end_col_offset is not None
            start = _place(value.lineno, value.col_offset, lines)
            yield _Span(start, _place(value.end_lineno, value.end_col_offset, lines))


def _place(line: int, offset_bytes: int, lines: list[str]) -> _Place:
    """Return a place that ``ast`` counts in bytes of UTF-8."""
    return _Place(line, len(lines[line - 1].encode()[:offset_bytes].decode()))


def _by_line(spans: list[_Span], lines: list[str]) -> Iterator[_Span]:
    """Yield the spans, cut at the ends of lines; what is left of a line keeps its line break."""
    for start, end in spans:
        for line in range(start.line, end.line + 1):
            first = start.column if line == start.line else 0
            last = end.column if line == end.line else len(lines[line - 1])
            yield _Span(_Place(line, first), _Place(line, last))


def _line_of(span: _Span) -> int:
    return span.start.line


def _cut(line: str, cuts: list[_Span]) -> str:
    """Return a line without some parts of it, which are in order."""
    for cut in reversed(cuts):
        line = line[: cut.start.column] + line[cut.end.column :]
    return line


def _lines_that_end_in_strings(tokens: list[tokenize.TokenInfo]) -> set[int]:
    """Return the numbers of the lines whose line break is part of a string."""
    found: set[int] = set()
    open_since: list[int] = []
    for token in tokens:
        name = tokenize.tok_name[token.type]
        if name in _STRING_STARTS:
            open_since.append(token.start[0])
        if name in _STRING_ENDS:
            found.update(range(open_since.pop(), token.end[0]))
    return found
