"""Keeps secrets, and absolute paths outside of the project, out of records."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OUTSIDE_PROJECT = "<outside>"
_HIDDEN = "***"

_SECRET = r"(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|credential)"
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
#: password=x, --token x, "api_key": "x"
_SECRET_VALUE = re.compile(
    rf"""(?P<name>[\w-]*{_SECRET}[\w-]*["']?)(?P<sign>\s*[=:]\s*|\s+)(?P<value>"[^"]*"|'[^']*'|[^\s,;}}]+)""",
    re.IGNORECASE,
)
_USER_OF_URL = re.compile(r"(?<=://)[^/\s@]+@")
_ABSOLUTE_PATH = re.compile(r"""(?<![\w./~>:])/[^\s'",;:()\[\]{}<>|]+""")


def is_secret(name: str) -> bool:
    """Return whether the name of a setting or variable tells that its value is a secret."""
    return bool(_SECRET_NAME.search(name))


class Privacy:
    """Removes secrets and places from what is recorded.

    Args:
        project: the folder that the workflow runs in. Paths below it are recorded relative to it;
            of other paths only the last part is recorded.
    """

    def __init__(self, project: str | os.PathLike):
        self._project = Path(os.path.abspath(project))

    def path(self, path: str | os.PathLike) -> str:
        """Return a path relative to the project, or ``<outside>/name`` for one elsewhere."""
        whole = Path(os.path.abspath(self._project / path))
        if whole.is_relative_to(self._project):
            return whole.relative_to(self._project).as_posix()
        return f"{OUTSIDE_PROJECT}/{whole.name}"

    def text(self, text: str) -> str:
        """Return a text without secrets, and with its absolute paths changed as by ``path``."""
        text = _USER_OF_URL.sub(f"{_HIDDEN}@", text)
        text = _SECRET_VALUE.sub(_hide_value, text)
        return _ABSOLUTE_PATH.sub(lambda match: self.path(match[0]), text)

    def content(self, content: Any) -> Any:
        """Return JSON with every text changed as by ``text``, and values of secret names hidden."""
        if isinstance(content, Mapping):
            return {
                str(name): _HIDDEN
                if is_secret(str(name)) and not isinstance(part, Mapping | list)
                else self.content(part)
                for name, part in content.items()
            }
        if isinstance(content, list | tuple):
            return [self.content(part) for part in content]
        return self.text(content) if isinstance(content, str) else content


def _hide_value(match: re.Match[str]) -> str:
    return f"{match['name']}{match['sign']}{_HIDDEN}"
