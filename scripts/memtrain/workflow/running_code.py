"""The part of a file of code that runs: without comments, docstrings and blank lines.

Two versions of a file that differ only in these do the same, so digests of code leave them out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Code that mentions one of these may read its own comments or docstrings.
_READS_ITSELF = re.compile(r"__doc__|\binspect\b|\blinecache\b|\btorch\.jit\b|\bgetsource")

#: Strings and comments. Python's own tokenizer is ten times slower, and there are 20,000 lines. The
#: prefix of a string may say that a backslash is no escape; a quote behind one ends no string even
#: then.
_STRING_OR_COMMENT = re.compile(
    r"""
    (?P<string>
      (?<!\w) (?P<prefix>[rRbBuUfFtT]{0,2})
      (?: \"{3} (?:[^\\]|\\.)*? \"{3} | '{3} (?:[^\\]|\\.)*? '{3}
        | " (?:[^"\\\n]|\\.)* " | ' (?:[^'\\\n]|\\.)* ' )
    )
    | \# [^\n]*
    """,
    re.DOTALL | re.VERBOSE,
)

#: Stands for a string while blank lines are removed; no file of Python can hold it.
_PLACEHOLDER = "\0"


@dataclass(frozen=True)
class ParsedCode:
    """A file of Python that was parsed.

    Attributes:
        text: the text, with the line breaks as Python reads them.
        tree: the tree of the text.
    """

    text: str
    tree: ast.Module


def parsed_code(content: bytes, name: str = "<unknown>") -> ParsedCode:
    """Parse the content of a file of Python.

    Args:
        content: the bytes of the file.
        name: the name of the file, for errors.

    Raises:
        SyntaxError: if the content is not valid Python, its encoding included.
        ValueError: if it has a null byte.
        RecursionError: if it is nested too deeply.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except UnicodeDecodeError as error:
        raise SyntaxError(f"{name}: {error}") from error
    return ParsedCode(text, ast.parse(text, name))


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
        return running_code_of(content, parsed_code(content))
    except (SyntaxError, ValueError, RecursionError):
        return content


def running_code_of(content: bytes, code: ParsedCode) -> bytes:
    """Return the part of a file of Python that runs, or the whole file; see ``running_code``.

    Args:
        content: the bytes of the file.
        code: what ``parsed_code`` made of them.
    """
    running = _without_what_does_not_run(code.text, list(_docstrings(code.tree, code.text)))
    return content if running is None or _READS_ITSELF.search(running) else running.encode()


def _without_what_does_not_run(text: str, docstrings: list[range]) -> str | None:
    """Return the part of a text that runs; None where the strings in it are not understood.

    Args:
        text: the text.
        docstrings: the places of the docstrings.
    """
    strings: list[str] = []
    inside = {start for span in docstrings for start in span}

    def replace(found: re.Match[str]) -> str:
        if found["string"] is None or found.start() in inside:
            return ""
        strings.append(found[0])
        return _PLACEHOLDER

    code = _STRING_OR_COMMENT.sub(replace, text)
    if any(map(_is_torn, strings)) or '"' in code or "'" in code:
        return None
    lines = (line.rstrip() for line in code.split("\n"))
    kept = "".join(f"{line}\n" for line in lines if line)
    left = iter(strings)
    return re.sub(_PLACEHOLDER, lambda _: next(left), kept)


def _is_torn(string: str) -> bool:
    """Return whether a string is a part of an f-string, taken for a whole one.

    Since Python 3.12, a string within an f-string may have the same quotes. Then an expression
    begins in the first part and does not end in it.
    """
    if not re.match("[rR]?[fFtT]", string):
        return False
    without_escapes = re.sub(r"\{\{|\}\}", "", string)
    return all(one.count("{") != one.count("}") for one in (string, without_escapes))


def _docstrings(tree: ast.Module, text: str) -> Iterator[range]:
    """Yield the places of the docstrings of the module, its classes and its functions."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def place(line: int, offset_bytes: int) -> int:
        found = lines[line - 1]
        column = offset_bytes if found.isascii() else len(found.encode()[:offset_bytes].decode())
        return starts[line - 1] + column

    for body in bodies(tree):
        first = body[0] if body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            value = first.value
            if isinstance(value.value, str):
                assert value.end_lineno is not None
                assert value.end_col_offset is not None
                start = place(value.lineno, value.col_offset)
                yield range(start, place(value.end_lineno, value.end_col_offset))


def bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Yield the statements of a module, and of every class and function in it."""
    queue: list[ast.AST] = [tree]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.body
        queue += statements_in(node)


def statements_in(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements directly in a statement, and what has statements in it."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(node, name, None)
        if isinstance(inner, list):
            yield from inner
