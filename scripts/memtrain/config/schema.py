"""The whole configuration: the only place that knows the sections of ``config.yaml``.

``config.reading`` reads it from files. The JSON schema in ``schemas/`` and the reference in the
documentation are generated from these models.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from memtrain.config.dataset import DatasetSettings
from memtrain.config.evaluation import EvaluationSettings
from memtrain.config.folds import Folds
from memtrain.config.initial import bases
from memtrain.config.lineage import LineageSettings
from memtrain.config.merging import overridden, with_swept_settings
from memtrain.config.planned_trainings import PlannedTraining, planned_trainings
from memtrain.config.predictions import PredictionSettings, prediction_problems
from memtrain.config.running import LoadingSettings, RunningSettings
from memtrain.config.splits import SplitRanges, SplitSettings
from memtrain.config.sweep import SweepSettings
from memtrain.config.tracking import TrackingSettings
from memtrain.config.training import TrainingSettings
from memtrain.config.types import CountOrAuto, Name, Settings
from memtrain.core.group_borders import GroupBorders
from memtrain.system import canonical_json


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
            "splits.folds is a number, not a split; for a cross-validation, write `folds: N` "
            "beside `splits`, or in its place"
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
    folds: Folds | None = Field(
        default=None,
        description="A cross-validation, in place of `splits` or beside them: the number of its "
        "folds, or a mapping. fold_1 is evaluated on the first part of the rows and trained on the "
        "others, and so on.",
    )
    sweep: SweepSettings | None = Field(
        default=None,
        description="Trainings that differ in their settings, crossed with the splits and folds: "
        "{grid: {training.optimizer.lr: [0.1, 0.01]}}, a list, or random draws.",
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
    tracking: TrackingSettings = Field(
        default=TrackingSettings(),
        description="Trackers that mirror the trainings: TensorBoard and MLflow. No result depends "
        "on it.",
    )
    evaluation: EvaluationSettings = Field(
        default=EvaluationSettings(),
        description="How the standard errors of the metrics are estimated.",
    )
    predictions: dict[Name, PredictionSettings] = Field(
        default_factory=dict,
        description="Predictions for other rows, by name: {next_year: {split: mlp, files: "
        "next/*.csv}}.",
    )

    @model_validator(mode="after")
    def _check_splits(self) -> "Configuration":
        if not self.bases:
            raise ValueError("named `splits` or `folds: N` are needed; found neither")
        return self

    def as_given(self) -> dict[str, Any]:
        """Return the settings that were given, without defaults, as JSON that reads back equal."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @model_validator(mode="after")
    def _check_names(self) -> "Configuration":
        names: dict[str, str] = {}
        for name in self.bases:
            if name in names.values():
                raise ValueError(f"splits.{name} has the name of a fold; rename it")
            other = names.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(
                    f"the splits {other} and {name} differ only in the case of letters, and some "
                    "file systems keep one folder for both; rename one of them"
                )
        return self

    @property
    def bases(self) -> list[str]:
        """The names of the splits and folds as they are configured, before a sweep."""
        return [*self.splits, *(self.folds.names if self.folds else [])]

    @cached_property
    def trainings(self) -> dict[str, PlannedTraining]:
        """All trainings by the names of their splits, those of a sweep included."""
        return planned_trainings(self.bases, self.sweep)

    @property
    def split_names(self) -> list[str]:
        """The names of all splits, in the order of the file; each is one training."""
        return list(self.trainings)

    @property
    def evaluated_splits(self) -> list[str]:
        """The names of the splits that have rows to evaluate on; folds always have."""
        return [
            name
            for name in self.trainings
            if (named := self.named_split(name)) is None or named.evaluate is not None
        ]

    @property
    def fold_names(self) -> list[str]:
        """The names of the splits that are folds of the cross-validation; none without one.

        The folds of a sweep are not among them, since they differ in their settings as well.
        """
        return [name for name in (self.folds.names if self.folds else []) if name in self.trainings]

    def named_split(self, split: str) -> SplitSettings | None:
        """Return what the configuration says under `splits` of a split; None for a fold.

        Args:
            split: one of ``split_names``.
        """
        return self.splits.get(self.trainings[split].base)

    def base_of(self, split: str) -> str | None:
        """Return the split whose model the training of a split starts from; None for none."""
        initial = self.merged_training_settings(split)["initial"]
        base = initial.get("split") if isinstance(initial, dict) else None
        # Values of a sweep may be anything here; what is wrong with them is told elsewhere.
        return base if isinstance(base, str) else None

    def bases_of(self, split: str) -> list[str]:
        """Return the splits whose models a model comes from, the nearest first."""
        return bases(split, self.base_of)

    def training_settings(self, split: str) -> TrainingSettings:
        """Return the training settings of a split: those of all splits, overridden by its own."""
        return self._training_settings(split)

    @cached_property
    def _training_settings(self) -> Callable[[str], TrainingSettings]:
        """The function behind ``training_settings``, which checks those of each split once."""
        return cache(
            lambda split: TrainingSettings.model_validate(self.merged_training_settings(split))
        )

    def merged_training_settings(self, split: str) -> dict[str, Any]:
        """Return the training settings of a split, which need not fit together."""
        named = self.named_split(split)
        settings = self.training.model_dump()
        if named is not None:
            settings = overridden(settings, named.training)
        settings = with_swept_settings(settings, self.trainings[split].settings)
        return self._with_swept_base(settings, split)

    def _with_swept_base(self, settings: dict[str, Any], split: str) -> dict[str, Any]:
        """Return settings that name the training of a swept base with the settings of this one."""
        initial = settings["initial"]
        base = initial.get("split") if isinstance(initial, dict) else None
        if not isinstance(base, str) or base in self.trainings:
            return settings
        name = self._swept_by_settings.get((base, _key(self.trainings[split])))
        return settings if name is None else {**settings, "initial": {**initial, "split": name}}

    @cached_property
    def _swept_by_settings(self) -> dict[tuple[str, str], str]:
        """The names of the trainings of a sweep by their splits and their settings."""
        swept = {name: one for name, one in self.trainings.items() if one.settings}
        return {(one.base, _key(one)): name for name, one in swept.items()}

    def settings_of_split(self, split: str) -> dict[str, Any]:
        """Return all settings that the recipe of a split depends on, as JSON.

        Args:
            split: one of ``split_names``.
        """
        named = self.named_split(split)
        if named is not None:
            ranges = named.model_dump(mode="json", exclude={"training"})
        else:
            assert self.folds is not None
            folds = self.folds.model_dump(mode="json")
            ranges = {"folds": folds, "fold": self._fold_number(split)}
        return {
            "ranges": ranges,
            "training": self.training_settings(split).model_dump(mode="json"),
            "evaluation": self.evaluation.model_dump(mode="json"),
        }

    def _fold_number(self, split: str) -> int:
        assert self.folds is not None
        return self.folds.names.index(self.trainings[split].base)

    def settings_of_summary(self) -> dict[str, Any]:
        """Return all settings that the summary depends on, as JSON."""
        settings: dict[str, Any] = {
            "dataset": self.dataset.name,
            "splits": self.split_names,
            "evaluated": self.evaluated_splits,
            "folds": self.fold_names,
        }
        if self.sweep is not None:
            settings["sweep"] = self.sweep.model_dump(mode="json")
            settings["all_folds"] = self.folds.names if self.folds else []
        return settings

    def resolve_ranges(
        self, split: str, rows: int, groups: GroupBorders | None = None
    ) -> SplitRanges:
        """Return the ranges of a split as row numbers, and their problems.

        Args:
            split: one of ``split_names``.
            rows: number of rows in the file.
            groups: borders between groups of rows, which no range cuts; None where rows have none.
        """
        base, named = self.trainings[split].base, self.named_split(split)
        if named is not None:
            return named.resolve(f"splits.{base}", rows, groups)
        assert self.folds is not None
        return self.folds.resolve(self._fold_number(split), rows, groups)

    def range_problems(self, rows: int) -> Iterator[str]:
        """Yield the problems of the ranges of all splits in a file of some rows, each once."""
        found = (self.resolve_ranges(split, rows).problems for split in self.split_names)
        yield from dict.fromkeys(problem for problems in found for problem in problems)
        yield from prediction_problems(self.predictions, self.split_names, rows)


def _key(planned: PlannedTraining) -> str:
    return canonical_json.dumps(dict(planned.settings))


def config_schema() -> str:
    """Return the JSON schema of the configuration, as ``schemas/`` holds it."""
    schema = Configuration.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2) + "\n"
