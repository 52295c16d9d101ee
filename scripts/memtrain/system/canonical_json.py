"""JSON in a canonical form: equal content always gives the same bytes.

Keys are sorted. Numbers are written as Python's ``repr`` writes them: the shortest text that reads
back as the same float. NaN and infinity are errors, since JSON does not have them.
"""

import hashlib
import json
import os
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.wording import shown
from memtrain.system.atomic_files import write_text
from memtrain.system.file_content import read_content_of_file


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
        return parse(read_content_of_file(path))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file. Run {made_by} to make it.") from None
    except ValueError as error:
        raise UserError(
            f"{path}: this is not a JSON file ({error}). Remove it and run {made_by} again."
        ) from None


def parse(text: str | bytes) -> Any:
    """Return the content of a JSON text.

    Raises:
        ValueError: whatever is wrong with it: no JSON or UTF-8, NaN or infinity, numbers of
            thousands of digits, a key that stands twice, or values nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


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
