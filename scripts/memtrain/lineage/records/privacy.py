"""Keeps secrets, and paths outside of the project, out of records."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memtrain.core.wording import readable
from memtrain.lineage.records.secrets import hide_secrets, is_secret, without_secret

OUTSIDE_PROJECT = "<outside>"

#: Characters of a path; brackets only where the path goes on after them.
_REST = r"""(?:\\.|[^\s'",;:)\]}<>|\\]|[)\]}](?=[\w/.*-]))"""
_PATHS = (
    # Whole in quotes, where it may hold blanks.
    re.compile(r"""(?<=['"])(?:/|~[\w.-]*/|\.\./)[^'"\n]*(?=['"])"""),
    # A home folder, or something in it.
    re.compile(rf"(?<![\w./])~[\w.-]*/{_REST}*"),
    # An absolute path, perhaps behind the letter of an option. No "and/or", "a/*/b" or "http://".
    re.compile(rf"(?:(?<![\w./*)\]}}%])|(?<=\s-\w)|(?<=^-\w))(?<!{OUTSIDE_PROJECT})/(?!/){_REST}+"),
    # A relative path that goes up.
    re.compile(
        rf"""(?<![^\s'",;:=(\[{{<>|])(?:[^\s'",;:=()\[\]{{}}<>|/]+/)*\.\.(?:/{_REST}*|(?![\w.]))"""
    ),
)
_FILE_URL = re.compile(r"\bfile:/+(?=[^/])")

#: Folders that hold a home folder for every user.
_HOMES = (Path("/home"), Path("/Users"), Path("/u"))


class Privacy:
    """Removes secrets and places from what is recorded.

    Args:
        project: the folder that the workflow runs in. Paths below it are recorded relative to it;
            of other paths only the last part is recorded, and nothing of a home folder.
    """

    def __init__(self, project: str | os.PathLike):
        self._project = Path(os.path.abspath(project))

    def path(self, path: str | os.PathLike) -> str:
        """Return a path relative to the project, or ``<outside>/name`` for one elsewhere."""
        whole = Path(os.path.abspath(self._project / path))
        if whole.is_relative_to(self._project):
            return readable(whole.relative_to(self._project).as_posix())
        if whole.parent in (*_HOMES, whole) or str(whole) == os.path.expanduser("~"):
            return OUTSIDE_PROJECT
        return readable(f"{OUTSIDE_PROJECT}/{whole.name}")

    def text(self, text: str) -> str:
        """Return a readable text without secrets, and with its paths changed as by ``path``.

        Relative paths stay as they are, unless they leave the project.
        """
        text = _FILE_URL.sub("file:/", hide_secrets(readable(text)))
        for pattern in _PATHS:
            text = pattern.sub(lambda match: self._shown(match[0]), text)
        return text

    def content(self, content: Any) -> Any:
        """Return JSON with every text changed as by ``text``, and values of secret names hidden."""
        if isinstance(content, Mapping):
            return {
                self.text(str(name)): without_secret(str(name), self.content(part))
                if is_secret(str(name))
                else self.content(part)
                for name, part in content.items()
            }
        if isinstance(content, list | tuple):
            return [self.content(part) for part in content]
        return self.text(content) if isinstance(content, str) else content

    def _shown(self, path: str) -> str:
        """Return how a path in a text is recorded."""
        expanded = os.path.expanduser(path)
        if expanded.startswith("~"):
            return f"{OUTSIDE_PROJECT}/{os.path.basename(path)}".rstrip("/")
        shown = self.path(expanded)
        is_relative = not os.path.isabs(expanded)
        return path if is_relative and not shown.startswith(OUTSIDE_PROJECT) else shown
