"""``withdrawals.yaml``: rows that must not be used any more, under version control.

The file lies beside ``config.yaml``. For each dataset it lists ranges of rows, each with the reason
of the withdrawal and the digest that the bytes of the rows had at that time. Rows are numbered as
in ``data.npy``; if other rows have these numbers later, the digest shows it.
"""

import os
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError, field_validator

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text
from memtrain.system.yaml_text import read_yaml

WITHDRAWALS_FILE = "withdrawals.yaml"

_HEADER = """\
# Rows that must not be used any more: every split leaves them out. Written by
# `python scripts/lineage.py withdraw` and `restore`; keep it under version control.
"""


class Withdrawal(Settings):
    """Rows that were withdrawn.

    Attributes:
        rows: the range ``[start, end)``.
        reason: why the rows were withdrawn.
        at: time of the withdrawal, ISO 8601.
        digest: digest that the bytes of the rows had at that time, "sha256:...".
    """

    rows: tuple[int, int]
    reason: str
    at: str
    digest: str

    @field_validator("rows")
    @classmethod
    def _check_rows(cls, rows: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= rows[0] < rows[1]:
            raise ValueError("rows are [start, end), with 0 <= start < end")
        return rows

    @property
    def range(self) -> Range:
        """The rows."""
        return Range(*self.rows)


_ENTRIES = TypeAdapter(list[Withdrawal])


def read_withdrawals(path: str | os.PathLike, dataset: str) -> list[Withdrawal]:
    """Return the withdrawals of a dataset; an empty list where there is no file.

    Args:
        path: ``withdrawals.yaml``.
        dataset: name of the dataset.

    Raises:
        UserError: where the file is not what ``write_withdrawals`` writes.
    """
    try:
        return _ENTRIES.validate_python(_read(path).get(dataset) or [])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (dataset, *first["loc"])))
        raise UserError(
            f"{path}: {where} is wrong ({first['msg']}). Each withdrawal has `rows: "
            "[start, end]`, `reason`, `at` and `digest`; bring back the last committed version."
        ) from None


def withdrawals_digest(withdrawals: Sequence[Withdrawal]) -> str:
    """Return the digest of what recipes depend on: which rows are withdrawn, but not why."""
    rows = sorted((entry.rows, entry.digest) for entry in withdrawals)
    return canonical_json.digest(rows)


def write_withdrawals(
    path: str | os.PathLike, dataset: str, withdrawals: Sequence[Withdrawal]
) -> None:
    """Replace the withdrawals of one dataset; those of other datasets stay as they are.

    Args:
        path: ``withdrawals.yaml``, which is created where it is missing.
        dataset: name of the dataset.
        withdrawals: all withdrawals of the dataset.

    Raises:
        UserError: where the file cannot be read.
    """
    content = _read(path)
    content[dataset] = [
        entry.model_dump(mode="json") for entry in sorted(withdrawals, key=lambda one: one.rows)
    ]
    text = yaml.safe_dump(content, sort_keys=True, allow_unicode=True, default_flow_style=None)
    write_text(path, _HEADER + text)


def _read(path: str | os.PathLike) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        return {}
    except UserError as error:
        raise UserError(
            f"{error} The withdrawals cannot be read. Correct the file, or bring back "
            "the last committed version."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: found {type(content).__name__} where the name of each dataset leads to a "
            "list of withdrawals. Bring back the last committed version."
        )
    return content
