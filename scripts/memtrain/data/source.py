"""``source.json``: where the rows of a data file came from, and what they mean."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from memtrain.config.results import DATA_FILE, GROUPS_FILE
from memtrain.core.errors import UserError
from memtrain.system import checked_json
from memtrain.system.digests import digest_of_file


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
    lowest_loss: float | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    made_from: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

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
        groups: str | os.PathLike | None = None,
    ) -> "Source":
        """Return this source with the statement of what the rows were made from.

        Args:
            made_from: digests by name.
            data: the data file, which is read for its digest.
            groups: the file of the groups; None where the rows have none.
        """
        files = {DATA_FILE: digest_of_file(data)}
        if groups is not None:
            files[GROUPS_FILE] = digest_of_file(groups)
        return replace(self, made_from=dict(made_from), files=files)

    def write(self, path: str | os.PathLike) -> None:
        """Write the source as canonical JSON with a checksum."""
        checked_json.write(path, dict(self.__dict__))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Source":
        """Read a source that ``write`` wrote.

        Raises:
            UserError: where the file is missing or describes no source.
        """
        content = checked_json.read(path, made_by="generate_data or import_data")
        try:
            return cls(**content)
        except TypeError:
            raise UserError(
                f"{path}: this does not describe where rows came from. Remove it and run "
                "generate_data or import_data again."
            ) from None
