"""JSON files that carry the digest of their own text, so that no damage is read as a value.

The file is canonical JSON with one more key, ``checksum``: the digest that the text has with zeros
in the place of this digest. A file that was changed by hand, or by one bit on the disk, is refused.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text

_KEY = "checksum"
_ZEROS = "sha256:" + 64 * "0"
_CHECKSUM = re.compile(r'^ "checksum": "(sha256:[0-9a-f]{64})"', re.MULTILINE)


def write(path: str | os.PathLike, content: dict[str, Any]) -> None:
    """Write a mapping as canonical JSON, with the digest of the text.

    Args:
        path: the file to write.
        content: what it holds, without the key "checksum".
    """
    text = canonical_json.text({**content, _KEY: _ZEROS})
    write_text(path, text.replace(_ZEROS, _digest(text), 1))


def read(path: str | os.PathLike, made_by: str) -> dict[str, Any]:
    """Return what ``write`` wrote, without the key "checksum".

    Args:
        path: the file to read.
        made_by: name of the script that writes such files, for messages that say to run it.

    Raises:
        UserError: if the file is missing, is no JSON, or is not as it was written.
    """
    content = canonical_json.read(path, made_by)
    text = Path(path).read_text(errors="replace")
    found = _CHECKSUM.search(text)
    if not isinstance(content, dict) or found is None:
        raise UserError(
            f"{path}: it has no checksum, so another version of memtrain wrote it, or somebody has "
            f"changed it. Run {made_by} again."
        )
    zeroed = text[: found.start(1)] + _ZEROS + text[found.end(1) :]
    if _digest(zeroed) != found[1]:
        raise UserError(
            f"{path}: it has changed since it was written: its text does not have the digest that "
            f"it holds. Run {made_by} again; to change a result, change config.yaml."
        )
    del content[_KEY]
    return content


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
