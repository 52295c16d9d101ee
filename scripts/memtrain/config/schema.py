"""The whole configuration: the only place that knows the sections of ``config.yaml``.

``config.reading`` reads it from files. The JSON schema in ``schemas/`` and the reference in the
documentation are generated from these models.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from memtrain.config.dataset import DatasetSettings
from memtrain.config.evaluation import EvaluationSettings
from memtrain.config.lineage import LineageSettings
from memtrain.config.splits import SplitRanges, SplitSettings
from memtrain.config.training import (
    LoadingSettings,
    RunningSettings,
    ShuffleSettings,
    TrainingOverrides,
    TrainingSettings,
)
from memtrain.config.types import FROM_TEXT, CountOrAuto, Name, PartialChoice, Settings
from memtrain.core.ranges import Range


class ShardSettings(Settings):
    """How the rows are divided into shards, which have digests and statistics of their own."""

    rows: CountOrAuto = Field(
        default="auto",
        description="Rows of a shard; auto: the power of two that makes a shard about 16 MiB.",
    )
    digest: Literal["sha256", "blake3"] = Field(
        default="sha256",
        description="Algorithm of the digests. blake3 is faster on processors without instructions "
        "for sha256, and has to be installed.",
    )


def _check_no_folds(splits: Any) -> Any:
    if isinstance(splits, dict) and isinstance(splits.get("folds"), int):
        raise ValueError(
            "splits.folds is a number, not a split; for a cross-validation, write `folds: N` in "
            "place of `splits`"
        )
    return splits


class Configuration(Settings):
    """The content of ``config.yaml``."""

    dataset: DatasetSettings = Field(
        description="Where the rows come from, and the name of the results."
    )
    shards: ShardSettings = Field(
        default=ShardSettings(), description="How the rows are divided into shards."
    )
    splits: Annotated[dict[Name, SplitSettings], BeforeValidator(_check_no_folds)] = Field(
        default_factory=dict, description="The trainings and their evaluations, by name."
    )
    folds: Annotated[int, Field(ge=2, le=10_000), FROM_TEXT] | None = Field(
        default=None,
        description="Number of folds of a cross-validation, in place of `splits`. The rows are cut "
        "into that many equal parts; fold_1 is evaluated on the first part and trained on the "
        "others, and so on.",
    )
    training: TrainingSettings = Field(
        default=TrainingSettings(),
        description="How models are trained. A split may override each of these settings.",
    )
    loading: LoadingSettings = Field(
        default=LoadingSettings(),
        description="How rows are read from the disk. No result depends on it.",
    )
    running: RunningSettings = Field(
        default=RunningSettings(), description="How trainings are run. No result depends on it."
    )
    lineage: LineageSettings = Field(
        default=LineageSettings(),
        description="What is recorded of every run. No result depends on it.",
    )
    evaluation: EvaluationSettings = Field(
        default=EvaluationSettings(),
        description="How the standard errors of the metrics are estimated.",
    )

    @model_validator(mode="after")
    def _check_splits(self) -> "Configuration":
        if bool(self.splits) == (self.folds is not None):
            found = "both" if self.splits else "neither"
            raise ValueError(f"either named `splits` or `folds: N` is needed; found {found}")
        return self

    def as_given(self) -> dict[str, Any]:
        """Return the settings that were given, without defaults, as JSON that reads back equal."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @model_validator(mode="after")
    def _check_names(self) -> "Configuration":
        names: dict[str, str] = {}
        for name in self.splits:
            other = names.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(
                    f"the splits {other} and {name} differ only in the case of letters, and some "
                    "file systems keep one folder for both; rename one of them"
                )
        return self

    @property
    def split_names(self) -> list[str]:
        """The names of all splits, in the order of the file."""
        if self.folds is not None:
            return [f"fold_{number}" for number in range(1, self.folds + 1)]
        return list(self.splits)

    def training_settings(self, split: str) -> TrainingSettings:
        """Return the training settings of a split: those of all splits, overridden by its own."""
        return TrainingSettings.model_validate(self.merged_training_settings(split))

    def merged_training_settings(self, split: str) -> dict[str, Any]:
        """Return the training settings of a split, which need not fit together."""
        own = self.splits[split].training if split in self.splits else TrainingOverrides()
        settings = self.training.model_dump()
        for name in own.model_fields_set:
            value = getattr(own, name)
            if isinstance(value, PartialChoice):
                value = value.merged_with(getattr(self.training, name))
            elif isinstance(value, ShuffleSettings):
                value = (settings[name] or {}) | value.model_dump(exclude_unset=True)
            settings[name] = value
        return settings

    def settings_of_split(self, split: str) -> dict[str, Any]:
        """Return all settings that the recipe of a split depends on, as JSON.

        Args:
            split: one of ``split_names``.
        """
        if self.folds is None:
            ranges = self.splits[split].model_dump(mode="json", exclude={"training"})
        else:
            ranges = {"folds": self.folds, "fold": self.split_names.index(split)}
        return {
            "ranges": ranges,
            "training": self.training_settings(split).model_dump(mode="json"),
            "evaluation": self.evaluation.model_dump(mode="json"),
        }

    def resolve_ranges(self, split: str, rows: int) -> SplitRanges:
        """Return the ranges of a split as row numbers, and their problems.

        Args:
            split: one of ``split_names``.
            rows: number of rows in the file.
        """
        if self.folds is None:
            return self.splits[split].resolve(f"splits.{split}", rows)
        if rows < self.folds:
            problem = f"folds: {self.folds} folds of {rows} rows leave some of the folds empty."
            return SplitRanges([], [], [problem])
        fold = self.split_names.index(split)
        start = rows * fold // self.folds
        end = rows * (fold + 1) // self.folds
        train = [piece for piece in (Range(0, start), Range(end, rows)) if piece.rows]
        return SplitRanges(train, [Range(start, end)], [])

    def range_problems(self, rows: int) -> Iterator[str]:
        """Yield the problems of the ranges of all splits in a file with ``rows`` rows."""
        for split in self.split_names:
            yield from self.resolve_ranges(split, rows).problems


def config_schema() -> str:
    """Return the JSON schema of the configuration, as ``schemas/`` holds it."""
    schema = Configuration.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2) + "\n"
