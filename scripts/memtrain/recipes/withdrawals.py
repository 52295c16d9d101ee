"""``withdrawals.yaml``: rows that must not be used any more, under version control.

The file lies beside ``config.yaml`` and holds, by dataset, ranges of rows with the reason of their
withdrawal and the digest of the bytes that they had then. Row numbers are those of ``data.npy``;
the digest tells when other rows have moved to these numbers.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, field_validator

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.system.atomic_files import write_text

WITHDRAWALS_FILE = "withdrawals.yaml"

_HEADER = """\
# Rows that must not be used any more: every split leaves them out. Written by
# `python scripts/lineage.py withdraw` and `restore`; keep it under version control.
"""


class Withdrawal(Settings):
    """Rows that were withdrawn.

    Attributes:
        rows: the range ``[start, end)``.
        reason: why.
        at: when, ISO 8601.
        digest: of the bytes that the rows had, "sha256:...".
    """

    rows: tuple[int, int]
    reason: str
    at: str
    digest: str

    @field_validator("rows")
    @classmethod
    def _check_rows(cls, rows: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= rows[0] < rows[1]:
            raise ValueError("rows are [start, end), the start before the end")
        return rows

    @property
    def range(self) -> Range:
        """The rows."""
        return Range(*self.rows)


def read_withdrawals(path: str | os.PathLike, dataset: str) -> list[Withdrawal]:
    """Return the withdrawals of a dataset; none where there is no file.

    Raises:
        UserError: where the file is not what ``write_withdrawals`` writes.
    """
    entries = _read(path).get(dataset) or []
    try:
        return [Withdrawal.model_validate(entry) for entry in entries]
    except (ValidationError, TypeError) as error:
        raise UserError(
            f"{path}: the entries of {dataset} are not withdrawals ({error}). Each has `rows: "
            "[start, end]`, `reason`, `at` and `digest`; bring back the last committed version."
        ) from None


def write_withdrawals(
    path: str | os.PathLike, dataset: str, withdrawals: Sequence[Withdrawal]
) -> None:
    """Write the withdrawals of a dataset; those of others stay."""
    content = _read(path)
    content[dataset] = [
        entry.model_dump(mode="json") for entry in sorted(withdrawals, key=lambda one: one.rows)
    ]
    text = yaml.safe_dump(content, sort_keys=True, allow_unicode=True, default_flow_style=None)
    write_text(path, _HEADER + text)


def _read(path: str | os.PathLike) -> dict[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: the withdrawals cannot be read ({error}).") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: withdrawals are lists by the name of their dataset.")
    return content
