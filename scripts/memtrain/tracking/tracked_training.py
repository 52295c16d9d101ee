"""What a tracker shows of a training: where its files lie, its settings, and what made it."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from memtrain.core.ranges import Range
from memtrain.core.wording import listed
from memtrain.recipes.model_file import read_origin
from memtrain.system import canonical_json, checked_json

#: Most characters of a setting: older servers of MLflow refuse longer ones.
_LONGEST_VALUE = 500

_PACKAGES = ("torch", "numpy")


@dataclass(frozen=True)
class TrainingFiles:
    """Where the files of a training lie. They need not be there yet.

    Attributes:
        recipe: the recipe of its split.
        model: its weights.
        history: its steps.
        validation: its validations.
        performance: what it cost.
        evaluation: the evaluation of its model.
        state: the folder of its checkpoints, where it writes steps while it runs.
    """

    recipe: Path
    model: Path
    history: Path
    validation: Path
    performance: Path
    evaluation: Path
    state: Path


@dataclass(frozen=True)
class Identity:
    """What a training has in common with the one that it goes on with, and with no other.

    Attributes:
        recipe: digest of the training part of the recipe.
        code: digest of the code that trains.
        torch: version of PyTorch.
        device: "cpu" or "cuda".
    """

    recipe: str
    code: str
    torch: str
    device: str

    @property
    def digest(self) -> str:
        """One digest of all."""
        return canonical_json.digest(vars(self))


def identity_of_model(path: Path) -> Identity | None:
    """Return the identity of the training that made a model; None where there is no model."""
    origin = read_origin(path)
    parts = {**origin.made_from, **origin.packages, "device": origin.device}
    try:
        return Identity(*(str(parts[name]) for name in ("recipe", "code", "torch", "device")))
    except KeyError:
        return None


@dataclass(frozen=True)
class TrackedTraining:
    """What a tracker shows of a training, apart from its numbers.

    Attributes:
        split: name of its split.
        dataset: name of the dataset.
        identity: what makes it the same training.
        files: where its files lie.
        lineage_run: id of the run in the records of the lineage; None where it is not recorded.
    """

    split: str
    dataset: str
    identity: Identity
    files: TrainingFiles
    lineage_run: str | None = None

    @property
    def name(self) -> str:
        """A name that no other training of the dataset has."""
        return f"{self.split}-{self.identity.digest.removeprefix('sha256:')[:8]}"

    def settings(self) -> dict[str, str | float | bool]:
        """Return the settings of the training, by their keys with dots; null ones are left out.

        Raises:
            UserError: if the recipe cannot be read.
        """
        training = checked_json.read(self.files.recipe, made_by="resolve_splits")["training"]
        sizes = {name: training["sizes"][name] for name in ("rows", "steps")}
        found = {**dict(_flat(training["settings"])), **sizes}
        return {key: _shortened(value) for key, value in sorted(found.items())}

    def tags(self) -> dict[str, str]:
        """Return the ids, digests and versions that say what made the training.

        Raises:
            UserError: if the recipe cannot be read.
        """
        training = checked_json.read(self.files.recipe, made_by="resolve_splits")["training"]
        rows, validated = training["rows"], training.get("validation") or {"pieces": []}
        pieces = [piece["digest"] for piece in [*rows["pieces"], *validated["pieces"]]]
        found = {
            "split": self.split,
            "dataset": self.dataset,
            "training": self.identity.digest,
            "recipe": self.identity.recipe,
            "code": self.identity.code,
            "data": canonical_json.digest(pieces),
            "ranges": _shortened(listed((Range(*pair) for pair in rows["ranges"]), 6)),
            "lineage_run": self.lineage_run,
            "device": self.identity.device,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("memtrain", *_PACKAGES)},
            "torch": self.identity.torch,
        }
        return {f"memtrain.{name}": str(value) for name, value in found.items() if value}


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings with the path of their keys."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value != {}:
            yield f"{prefix}{key}", value


def _shortened(value: Any) -> str | float | bool:
    if isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else canonical_json.dumps(value)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[: _LONGEST_VALUE - 40]}… (all of it: split.json)"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
