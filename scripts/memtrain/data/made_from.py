"""What a result was made from: digests by their names, inside the result or in a file beside it.

Every result makes a statement with these parts:

  made_from   digests of what it was made from, by name: ``code``, ``settings``, ``data``, ...
  files       digests of the files that belong to it, by their paths from the folder of the
              statement
  packages    versions of packages that it was made with
  device      "cpu" or "cuda", where that may matter

Of these, only ``made_from`` decides whether a result is what it would be today; ``files`` tells
whether it is still as it was written. The statement of a model is a part of its metadata
(``recipes.model_file``), that of a figure lies in ``made_from.json`` beside it, all others are keys
of the JSON files that are the results.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtrain.core.errors import UserError
from memtrain.system import canonical_json, checked_json
from memtrain.system.digests import digest_of_file

if TYPE_CHECKING:
    from memtrain.config.types import Settings

#: Packages whose versions are noted: results may differ in their last digits from one to another.
_PACKAGES = ("numpy", "torch")


@dataclass(frozen=True)
class Statement:
    """What a result says of itself; see the head of this module. An empty one says nothing."""

    made_from: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None

    @classmethod
    def of_content(cls, content: Any) -> "Statement":
        """Return the statement in the content of a JSON file; an empty one where there is none."""
        if not isinstance(content, Mapping):
            return cls()
        device = content.get("device")
        return cls(
            made_from=_texts(content.get("made_from")),
            files=_texts(content.get("files")),
            packages=_texts(content.get("packages")),
            device=device if isinstance(device, str) else None,
        )


def statement_in(path: str | os.PathLike) -> Statement:
    """Return the statement in a JSON file; an empty one if it is missing or damaged."""
    try:
        return Statement.of_content(checked_json.read(path, made_by="snakemake"))
    except (UserError, OSError):
        return Statement()


def write_statement(
    path: str | os.PathLike,
    made_from: Mapping[str, str],
    files: Iterable[str | os.PathLike],
    *,
    packages: Mapping[str, str] | None = None,
    device: str | None = None,
) -> None:
    """Write the statement of results that cannot hold one, like figures.

    Args:
        path: the file to write, ``made_from.json``.
        made_from: digests of what they were made from, by name.
        files: the results, in the folder of ``path``.
        packages: versions of packages that they were made with; None where none matters.
        device: "cpu" or "cuda"; None where that does not matter.
    """
    folder = Path(path).parent
    digests = {str(Path(file).relative_to(folder)): digest_of_file(file) for file in files}
    noted: dict[str, Any] = {"packages": dict(packages)} if packages else {}
    if device is not None:
        noted["device"] = device
    checked_json.write(path, {"made_from": dict(made_from), "files": digests, **noted})


def settings_digest(settings: "Settings") -> str:
    """Return the digest of settings, defaults included."""
    return canonical_json.digest(settings.model_dump(mode="json"))


def shard_settings_digest(rows: int | str, algorithm: str) -> str:
    """Return the digest of the settings of the shards.

    Args:
        rows: rows of a shard, or "auto".
        algorithm: the algorithm of the digests of the shards.
    """
    return canonical_json.digest({"rows": str(rows), "digest": algorithm})


def files_digest(digests: Mapping[str, str]) -> str:
    """Return one digest of several files, by their paths."""
    return canonical_json.digest(dict(digests))


def versions_of_packages() -> dict[str, str]:
    """Return the versions of the packages that are noted in models and evaluations."""
    return {name: version(name) for name in _PACKAGES}


def packages_text(versions: Mapping[str, str]) -> str:
    """Return versions of packages as people read them: "numpy 2.4.1, torch 2.13.0"."""
    return ", ".join(f"{name} {versions[name]}" for name in sorted(versions))


def _texts(content: Any) -> dict[str, str]:
    """Return the entries of a mapping that are texts; none where it is no mapping."""
    if not isinstance(content, Mapping):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, str)}
