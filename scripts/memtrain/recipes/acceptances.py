"""``accepted.yaml``: results that stand although other code or packages made them.

A new version of memtrain or of PyTorch is other code, and would train everything again. Whoever
does not want that accepts results by `python scripts/lineage.py accept`. An acceptance names the
result by what made it and what would make it on that day, so that it ends with the next change of
code. It never covers other rows, settings or withdrawals. The file lies beside ``config.yaml``;
keep it under version control.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.system.atomic_files import write_text
from memtrain.system.yaml_text import read_yaml

ACCEPTED_FILE = "accepted.yaml"

_HEADER = """\
# Results that stand although other code or packages made them. Written by
# `python scripts/lineage.py accept`; keep it under version control.
"""


class Acceptance(Settings):
    """A result that stands.

    Attributes:
        result: the rule that made it, and its split: "train first"; "import_data" for a result of
            the whole dataset.
        part: what differs: "code" or "packages".
        made_by: digest of the code, or versions of the packages, that made the result.
        stands_for: those that would have made it when it was accepted.
        reason: why it stands.
        at: time of the acceptance, ISO 8601.
    """

    result: str
    part: str
    made_by: str
    stands_for: str
    reason: str
    at: str

    def covers(self, result: str, part: str, made_by: str | None, stands_for: str | None) -> bool:
        """Return whether this is the acceptance of a difference of a result."""
        found = (self.result, self.part, self.made_by, self.stands_for)
        return found == (result, part, made_by, stands_for)


_ENTRIES = TypeAdapter(list[Acceptance])


def read_acceptances(path: str | os.PathLike, dataset: str | None = None) -> list[Acceptance]:
    """Return the acceptances of a dataset; an empty list where there is no file.

    Args:
        path: ``accepted.yaml``.
        dataset: name of the dataset; None for all datasets.

    Raises:
        UserError: if the file is not what ``write_acceptances`` writes.
    """
    content = _read(path)
    try:
        return [
            one
            for name in (content if dataset is None else [dataset])
            for one in _ENTRIES.validate_python(content.get(name) or [])
        ]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: {where} is wrong ({first['msg']}). Bring back the last committed version."
        ) from None


def write_acceptances(
    path: str | os.PathLike, dataset: str, acceptances: Sequence[Acceptance]
) -> None:
    """Replace the acceptances of one dataset; those of other datasets stay as they are.

    Args:
        path: ``accepted.yaml``, which is created where it is missing.
        dataset: name of the dataset.
        acceptances: all acceptances of the dataset.

    Raises:
        UserError: if the file cannot be read.
    """
    content = dict(_read(path))
    content[dataset] = [one.model_dump(mode="json") for one in acceptances]
    text = yaml.safe_dump(content, sort_keys=True, allow_unicode=True)
    write_text(path, _HEADER + text)


def _read(path: str | os.PathLike) -> Mapping[str, Any]:
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        return {}
    except UserError as error:
        raise UserError(f"{error} Bring back the last committed version.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: found {type(content).__name__}, not a list of acceptances under the name of "
            "each dataset. Bring back the last committed version."
        )
    return content
