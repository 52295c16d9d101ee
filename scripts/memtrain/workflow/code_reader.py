"""Reads files of code: what they import, and the digest of the part that runs."""

import ast
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtrain.system.file_notes import FileNotes, FileState
from memtrain.workflow.running_code import parsed_code, running_code_of, statements_in


@dataclass(frozen=True)
class Import:
    """A statement that imports.

    Attributes:
        level: number of dots before the name; 0 for an absolute name.
        module: the name of the module; empty in ``from . import name``.
        names: the names that are taken from it, which may be modules; none for ``import module``.
    """

    level: int
    module: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class CodeFacts:
    """What has to be known of a file of code.

    Attributes:
        imports: what the file imports when it runs, anywhere in it.
        running: digest of the part that runs, "sha256:..."; see ``workflow.running_code``.
    """

    imports: tuple[Import, ...]
    running: str


#: What is known of contents, by their digests: a digest ends with ".py" if the file is Python. A
#: program asks for the digest of its code when it starts, and again when it ends: then it reads the
#: files, and parses only those that have changed. ``known_code`` adds what earlier jobs have found.
_FACTS_OF_CONTENTS: dict[str, CodeFacts] = {}

#: Functions that return more such facts, and were not called yet.
_SOURCES: list[Callable[[], Mapping[str, CodeFacts]]] = []


class CodeReader:
    """Reads files of code, and each of them only once while it does not change.

    Args:
        notes: what was found in files before, in this process or in earlier ones.
    """

    def __init__(self, notes: FileNotes | None = None):
        self._notes = notes or FileNotes()
        self._facts: dict[tuple[Path, FileState], CodeFacts] = {}

    def facts(self, path: Path) -> CodeFacts:
        """Return the facts of a file; a file that is no Python imports nothing.

        Raises:
            SyntaxError: if the file is not valid Python.
        """
        state = FileState.of(path)
        facts = self._facts.get((path, state)) or from_note(self._notes.get(path, state))
        if facts is None:
            facts = _facts_of_content(path)
            self._notes.put(path, state, to_note(facts))
        self._facts[path, state] = facts
        return facts


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def known_facts() -> dict[str, CodeFacts]:
    """Return what this process knows of contents, by their digests."""
    return dict(_FACTS_OF_CONTENTS)


@contextmanager
def learning_from(source: Callable[[], Mapping[str, CodeFacts]]) -> Iterator[None]:
    """In this context, ask what another process has found before the first content is parsed.

    Args:
        source: returns what was found in contents, by their digests. It is called once, or not at
            all where this process knows every content.
    """
    _SOURCES.append(source)
    try:
        yield
    finally:
        if source in _SOURCES:
            _SOURCES.remove(source)


def to_note(facts: CodeFacts) -> list[Any]:
    """Return facts as JSON."""
    return [facts.running, [[one.level, one.module, *one.names] for one in facts.imports]]


def from_note(note: Any) -> CodeFacts | None:
    """Return the facts that JSON tells; None where it tells none."""
    try:
        running, imports = note
        found = [Import(level, module, tuple(names)) for level, module, *names in imports]
    except (TypeError, ValueError):
        return None
    return CodeFacts(tuple(found), running)


def _facts_of_content(path: Path) -> CodeFacts:
    """Return the facts of the content of a file, which is parsed once in a process."""
    content = path.read_bytes()
    is_python = path.suffix == ".py"
    key = _digest(content) + (".py" if is_python else "")
    while key not in _FACTS_OF_CONTENTS and _SOURCES:
        _FACTS_OF_CONTENTS.update(_SOURCES.pop()())
    if key not in _FACTS_OF_CONTENTS:
        _FACTS_OF_CONTENTS[key] = _read_facts(content, path) if is_python else _other(content)
    return _FACTS_OF_CONTENTS[key]


def _other(content: bytes) -> CodeFacts:
    """Return the facts of a file that is no Python."""
    return CodeFacts((), _digest(content))


def _read_facts(content: bytes, path: Path) -> CodeFacts:
    """Return the facts of a file of Python.

    Raises:
        SyntaxError: if the content is not valid Python; the error names the path.
    """
    code = parsed_code(content, str(path))
    return CodeFacts(_imports(code.tree), _digest(running_code_of(content, code)))


def _imports(tree: ast.Module) -> tuple[Import, ...]:
    found: list[Import] = []
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            found += (Import(0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append(Import(node.level, node.module or "", names))
    return tuple(found)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a tree, but not those that only type checkers read."""
    queue = [tree]
    while queue:
        node = queue.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            queue += node.orelse
        else:
            queue += statements_in(node)


def _is_type_checking(test: ast.expr) -> bool:
    """Return whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``."""
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))
