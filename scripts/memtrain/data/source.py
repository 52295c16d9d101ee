"""``source.json``: where the rows of a data file came from, and what they mean."""

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from memtrain.core.errors import UserError
from memtrain.system import canonical_json


@dataclass(frozen=True)
class Source:
    """Where rows came from.

    Attributes:
        features: the name of every feature column, as it lies in the file.
        target: the name of every target column.
        task: whether the target is a number or a class.
        classes: the number of classes; None for numbers.
        class_names: the words behind the classes, where they were words.
        lowest_loss: the lowest mean loss (squared error, or cross entropy) that any model can
            reach on these rows, where that is known.
        origin: the generator and its settings, or the imported files with their digests.
    """

    features: list[str]
    target: list[str]
    task: Literal["regression", "classification"]
    classes: int | None = None
    class_names: list[str] | None = None
    lowest_loss: float | None = None
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def in_random_order(self) -> bool:
        """Whether the rows lie in random order, so that any range is a sample of them all.

        They do where they were made up (each is drawn independently of the others), and where they
        were shuffled when they were imported. Other rows may lie sorted.
        """
        settings = self.origin.get("settings", {})
        return self.origin.get("kind") == "mock" or settings.get("shuffle_once") is not None

    def write(self, path: str | os.PathLike) -> None:
        """Write the source as canonical JSON."""
        canonical_json.write(path, dict(self.__dict__))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Source":
        """Read what ``write`` wrote."""
        content = canonical_json.read(path, made_by="generate_data or import_data")
        try:
            return cls(**content)
        except TypeError:
            raise UserError(
                f"{path}: this does not describe where rows came from. Remove it and run "
                "generate_data or import_data again."
            ) from None
