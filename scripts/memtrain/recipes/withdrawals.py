"""``withdrawals.yaml``: rows that must not be used any more, under version control.

The file lies beside ``config.yaml``. For each dataset it lists ranges of rows, each with the reason
of the withdrawal and the digest that the bytes of the rows had at that time. Rows are numbered as
in the ``data.npy`` of that time, whose digest is kept too. Where ``data.npy`` has changed, the rows
are found again by their values (see ``recipes.withdrawn_rows``), of which the folder
``withdrawals.d`` beside the file keeps keyed digests (see ``recipes.withdrawn_values``).
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError, field_validator

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text
from memtrain.system.yaml_text import read_yaml

WITHDRAWALS_FILE = "withdrawals.yaml"

_HEADER = """\
# Rows that must not be used any more: every split leaves them out. Written by
# `python scripts/lineage.py withdraw` and `restore`; keep it under version control.
"""


class WithdrawnValues(Settings):
    """What the rows of a withdrawal are found by when they lie elsewhere.

    Attributes:
        columns: the columns of the source that the rows were made from.
        key: name of the key of the digests; the key itself is under no version control.
        digest: digest of the file in ``withdrawals.d`` that holds the digest of every value.
    """

    columns: list[str]
    key: str
    digest: str


class WithdrawnBytes(Settings):
    """Bytes of a file that were withdrawn.

    Attributes:
        path: the file, as the configuration gave it.
        start: the first byte.
        end: the byte after the last.
        digest: digest that the bytes had, "sha256:...".
        file: digest that the whole file had; None where it was not known.
    """

    path: str
    start: int
    end: int
    digest: str
    file: str | None = None

    def __str__(self) -> str:
        return f"{self.path}, bytes [{self.start}, {self.end})"


class Gone(Settings):
    """A statement that withdrawn rows have left the source.

    Attributes:
        rows: how many of the rows were not found when this was stated.
        reason: why they left.
        at: time of the statement, ISO 8601.
    """

    rows: int
    reason: str
    at: str


class Withdrawal(Settings):
    """Rows that were withdrawn.

    Attributes:
        rows: the range ``[start, end)``.
        reason: why the rows were withdrawn.
        at: time of the withdrawal, ISO 8601.
        digest: digest that the bytes of the rows had at that time, "sha256:...".
        data: digest that the whole ``data.npy`` had at that time; None where it is not known.
        identical: ranges of other rows that had the same values at that time.
        values: what the rows are found by in other data; None where only their numbers are known.
        gone: the statement that rows left the source; None where there is none.
        places: the bytes that were withdrawn, of rows in many files; the rows are all those that
            these bytes are part of, whatever numbers they have.
    """

    rows: tuple[int, int]
    reason: str
    at: str
    digest: str
    data: str | None = None
    identical: list[tuple[int, int]] = Field(default_factory=list)
    values: WithdrawnValues | None = None
    gone: Gone | None = None
    places: list[WithdrawnBytes] = Field(default_factory=list)

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

    @property
    def ranges(self) -> list[Range]:
        """The rows, and those that had the same values."""
        return sorted(Range(*rows) for rows in (self.rows, *self.identical))

    def named_among(self, others: "Iterable[Withdrawal]") -> str:
        """Return the arguments that name this withdrawal, and no other, to ``lineage.py``."""
        rows = f"--rows {self.rows[0]}:{self.rows[1]}"
        is_alone = not any(
            one != self and list(overlaps([one.range], [self.range])) for one in others
        )
        return rows if is_alone else f"{rows} --at {self.at}"

    def at_rows(self, ranges: Iterable[Range]) -> "list[Withdrawal]":
        """Return this withdrawal once for each range of rows where it lies now."""
        return [
            self.model_copy(update={"rows": (rows.start, rows.end), "identical": []})
            for rows in ranges
        ]


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


def values_in_use(path: str | os.PathLike) -> set[str]:
    """Return the digests of the files in ``withdrawals.d`` that withdrawals of any dataset name.

    Raises:
        UserError: where the file is not what ``write_withdrawals`` writes.
    """
    entries = [one for dataset in _read(path) for one in read_withdrawals(path, dataset)]
    return {one.values.digest for one in entries if one.values is not None}


def withdrawals_digest(withdrawals: Sequence[Withdrawal]) -> str:
    """Return the digest of what recipes depend on: which rows are withdrawn, but not why."""
    return canonical_json.digest(sorted(entry_digest(entry) for entry in withdrawals))


def entry_digest(withdrawal: Withdrawal) -> str:
    """Return the digest of which rows one withdrawal is about."""
    parts = {"rows", "digest", "data", "identical", "values"}
    if withdrawal.places:
        parts.add("places")
    return canonical_json.digest(withdrawal.model_dump(mode="json", include=parts))


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
        entry.model_dump(mode="json", exclude_defaults=True)
        for entry in sorted(withdrawals, key=lambda one: (one.rows, one.at))
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
            f"{path}: found {type(content).__name__}, not a list of withdrawals under the name of "
            "each dataset. Bring back the last committed version."
        )
    return content
