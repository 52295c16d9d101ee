"""JSON in a canonical form: equal content always gives the same bytes.

Keys are sorted. Numbers are written as Python's ``repr`` writes them: the shortest text that reads
back as the same float. NaN and infinity are errors, since JSON does not have them.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.system.atomic_files import write_text


def dumps(content: Any) -> str:
    """Return the content as one line of canonical JSON."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """Return the digest of the content's canonical JSON, as "sha256:0123..."."""
    return "sha256:" + hashlib.sha256(dumps(content).encode()).hexdigest()


def write(path: str | os.PathLike, content: Any) -> None:
    """Write the content to a file as canonical JSON, broken into lines that people can read."""
    write_text(path, text(content))


def text(content: Any) -> str:
    """Return the content as canonical JSON, broken into lines that people can read."""
    return _in_lines(content) + "\n"


def read(path: str | os.PathLike, made_by: str) -> Any:
    """Return the content of a JSON file.

    Args:
        path: path of the file.
        made_by: name of the script that writes such files, for messages that say to run it.

    Raises:
        UserError: where the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file. Run {made_by} to make it.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path}: this is not a JSON file ({error}). Remove it and run {made_by} again."
        ) from None


def _in_lines(content: Any, indent: str = "") -> str:
    """Return JSON in which mappings, and lists of mappings, have a line for each item."""
    deeper = indent + " "
    if isinstance(content, dict) and content:
        items = [
            f"{deeper}{json.dumps(key)}: {_in_lines(content[key], deeper)}"
            for key in sorted(content)
        ]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(content, list) and any(isinstance(item, dict) for item in content):
        items = [deeper + _in_lines(item, deeper) for item in content]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return json.dumps(content, sort_keys=True, allow_nan=False)
