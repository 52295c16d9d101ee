"""``source.json``: where the rows of a data file came from, and what they mean."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from memtrain.config.results import DATA_FILE, ROWS_FILE
from memtrain.core.errors import UserError
from memtrain.system import checked_json
from memtrain.system.digests import digest_of_file

_MADE_BY = "generate_data, import_data or describe_files"

#: Field of the features, where all of them are numbers of one type.
FEATURES = "features"

#: Field that says which numbers of integer types are there, where some may be missing.
PRESENT = "features_present"


@dataclass(frozen=True)
class SourceColumn:
    """A column of the tables, and where its values lie in a row of the data file.

    Attributes:
        name: name of the column in the tables.
        kind: whether its values are numbers, the codes of words, or times in seconds.
        field: field of the record.
        position: position of the first value in the field, counted row by row.
        shape: shape of the values of one row; () for a single value.
        dtype: type of the values.
        names: name of every value: the column's, with the position in a column of several.
        present: position of the first value in the field ``PRESENT``; None where the column is not
            in that field.
        words: the words with their codes, sorted by word; None for numbers and for the target.
    """

    name: str
    kind: Literal["number", "category", "time"]
    field: str
    position: int
    shape: list[int]
    dtype: str
    names: list[str]
    present: int | None = None
    words: dict[str, int] | None = None


@dataclass(frozen=True)
class Source:
    """Where the rows of a data file came from, and what they mean.

    Attributes:
        features: names of the feature columns, in their order in the file.
        target: names of the target columns, in their order in the file.
        task: whether the target is a number or a class.
        classes: number of classes; None for numbers.
        class_names: words of the classes, in the order of the classes' numbers; None where the
            classes were numbers already.
        columns: the columns of the tables, features and then target; none for generated rows.
        lowest_loss: lowest mean loss (squared error, or cross entropy) that any model can reach on
            these rows; None where it is not known.
        origin: content of ``source.json`` about the generator and its settings, or about the
            imported files and their digests.
        made_from: digests of what the rows were made from; see ``data.made_from``.
        files: digests of the data file and of the file of its groups, by their names.
    """

    features: list[str]
    target: list[str]
    task: Literal["regression", "classification"]
    classes: int | None = None
    class_names: list[str] | None = None
    columns: list[SourceColumn] = field(default_factory=list)
    lowest_loss: float | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    made_from: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def feature_columns(self) -> list[SourceColumn]:
        """The columns that are features, in the order of the settings."""
        return [column for column in self.columns if column.field != "target"]

    @property
    def in_random_order(self) -> bool:
        """Whether the rows lie in random order, so that every range is a sample of all rows.

        Mock rows do, since each is drawn independently of the others; so do rows that were
        shuffled when they were imported, unless in groups. Other rows may lie sorted.
        """
        order = self.origin.get("settings", {}).get("shuffle_once")
        is_shuffled = order is not None and self.group_column is None
        return self.origin.get("kind") == "mock" or is_shuffled

    @property
    def group_column(self) -> str | None:
        """The column whose values are groups of rows that lie together; None without groups."""
        settings = self.origin.get("settings", {})
        order = settings.get("shuffle_once")
        return order.get("group_by") if isinstance(order, dict) else settings.get("group_by")

    def made_of(
        self,
        made_from: Mapping[str, str],
        data: str | os.PathLike,
        beside: str | os.PathLike | None = None,
    ) -> "Source":
        """Return this source with the statement of what the rows were made from.

        Args:
            made_from: digests by name.
            data: the data file, or the description of rows in files; it is read for its digest.
            beside: a file that belongs to it: of the groups of rows, or of the borders of
                documents; None where there is none.
        """
        name = ROWS_FILE if os.fspath(data).endswith(".json") else DATA_FILE
        files = {name: digest_of_file(data)}
        if beside is not None:
            files[Path(beside).name] = digest_of_file(beside)
        return replace(self, made_from=dict(made_from), files=files)

    def write(self, path: str | os.PathLike) -> None:
        """Write the source as canonical JSON with a checksum."""
        checked_json.write(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Source":
        """Read a source that ``write`` wrote.

        Raises:
            UserError: where the file is missing or describes no source.
        """
        content = checked_json.read(path, made_by=_MADE_BY)
        try:
            columns = [SourceColumn(**column) for column in content.pop("columns")]
            return cls(columns=columns, **content)
        except (KeyError, TypeError):
            raise UserError(
                f"{path}: this does not describe where rows came from. Remove it and run "
                f"{_MADE_BY} again."
            ) from None
