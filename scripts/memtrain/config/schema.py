"""The settings: the only place that knows a key's name, its default and what it may hold.

``config_file`` reads them from files and tells all mistakes at once; the JSON schema in
``schemas/`` is generated from these models.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from memtrain.config.dataset import DatasetSettings
from memtrain.config.lineage import LineageSettings
from memtrain.config.training import (
    LoadingSettings,
    RunningSettings,
    ShuffleSettings,
    TrainingOverrides,
    TrainingSettings,
)
from memtrain.config.types import Name, PartialChoice, Seed, Settings, read_number
from memtrain.core.ranges import Range, overlaps, parse_bound, resolve_bound, self_overlaps
from memtrain.core.wording import listed


def _check_shard_rows(value: Any) -> int | str:
    value = read_number(value)
    if value == "auto" or (isinstance(value, int) and value >= 1):
        return value
    raise ValueError("a number of rows (1 or more) or auto is needed")


class ShardSettings(Settings):
    """How finely the rows are indexed."""

    rows: Annotated[
        int | str,
        BeforeValidator(_check_shard_rows),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
    ] = Field(
        "auto",
        description="Rows of a shard, the unit of digests and statistics; auto: the power of two "
        "that makes a shard about 16 MiB.",
    )
    digest: Literal["sha256", "blake3"] = Field(
        "sha256",
        description="The digest of a shard; blake3 is faster on processors without instructions "
        "for sha256, and has to be installed.",
    )


def _check_ranges(value: Any) -> Any:
    """Accept ``[start, end]`` or a list of such pairs, of row numbers and percentages."""
    if not isinstance(value, list) or not value:
        raise ValueError("a range is [start, end], or a list of such pairs")
    pairs = value if isinstance(value[0], list) else [value]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{pair!r} is not a pair [start, end]")
        start, end = (parse_bound(read_number(bound)) for bound in pair)
        if type(start) is type(end) and not start < end:
            state = "is empty" if start == end else "runs backwards"
            raise ValueError(f"the range {pair!r} {state}; start must come before end")
    return [[read_number(bound) for bound in pair] for pair in pairs]


_BOUND_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
    ]
}
_PAIR_SCHEMA = {"type": "array", "items": _BOUND_SCHEMA, "minItems": 2, "maxItems": 2}
Ranges = Annotated[
    list[list[int | str]],
    BeforeValidator(_check_ranges),
    WithJsonSchema({"anyOf": [_PAIR_SCHEMA, {"type": "array", "items": _PAIR_SCHEMA}]}),
]


class SplitSettings(Settings):
    """One training and its evaluation."""

    train: Ranges = Field(description="Rows to train on: [start, end], or a list of such ranges.")
    evaluate: Ranges = Field(description="Rows to evaluate on.")
    allow_overlap: bool = Field(
        False, description="Allows rows that are both trained on and evaluated on."
    )
    training: TrainingOverrides = Field(
        TrainingOverrides(), description="Settings of `training` that differ for this split."
    )

    def resolve(self, where: str, rows: int) -> tuple[list[Range], list[Range], list[str]]:
        """Return training ranges, evaluation ranges and problems in a file of ``rows`` rows."""
        problems: list[str] = []
        train = _resolve_ranges(f"{where}.train", self.train, rows, problems)
        evaluate = _resolve_ranges(f"{where}.evaluate", self.evaluate, rows, problems)
        shared = [] if self.allow_overlap else list(overlaps(train, evaluate))
        if shared:
            problems.append(
                f"{where}: rows {listed(shared)} are both trained on and evaluated on. Change "
                "`train` or `evaluate`, or set `allow_overlap: true`."
            )
        return train, evaluate, problems


def _resolve_ranges(where: str, pairs: list, rows: int, problems: list[str]) -> list[Range]:
    ranges = []
    for pair in pairs:
        resolved = Range(*(resolve_bound(bound, rows) for bound in pair))
        ranges.append(resolved)
        if resolved.end > rows:
            problems.append(
                f"{where}: {pair} reaches to row {resolved.end}, but the data has {rows} rows. "
                f"Use {rows} or '100%' as the end, or bring more rows."
            )
        elif resolved.rows <= 0:
            state = "is empty" if resolved.rows == 0 else "runs backwards"
            problems.append(
                f"{where}: {pair} is {resolved} of {rows} rows, which {state}. The start must come "
                "before the end."
            )
    for common in self_overlaps(ranges):
        problems.append(f"{where}: rows {common} stand in two of its ranges. Name them once.")
    return ranges


def _check_no_folds(splits: Any) -> Any:
    if isinstance(splits, dict) and isinstance(splits.get("folds"), int):
        raise ValueError(
            "splits.folds is a number and no split; for a cross-validation, write `folds: N` in "
            "place of `splits`"
        )
    return splits


class EvaluationSettings(Settings):
    """How models are evaluated."""

    bootstrap: Annotated[int, BeforeValidator(read_number), Field(ge=0)] = Field(
        100, description="Resamples behind every standard error; 0 for none."
    )
    seed: Seed = Field(0, description="Seed of the resamples.")


class Configuration(Settings):
    """The whole of ``config.yaml``."""

    dataset: DatasetSettings = Field(description="Where the rows come from.")
    shards: ShardSettings = Field(ShardSettings(), description="How finely they are indexed.")
    splits: Annotated[dict[Name, SplitSettings], BeforeValidator(_check_no_folds)] = Field(
        default_factory=dict, description="What is trained and evaluated, by name."
    )
    folds: Annotated[int, BeforeValidator(read_number), Field(ge=2)] | None = Field(
        None,
        description="In place of `splits`, a cross-validation: fold_1 is evaluated on the first "
        "of so many equal parts of the rows and trained on the others, and so on.",
    )
    training: TrainingSettings = Field(TrainingSettings(), description="Defaults of every split.")
    loading: LoadingSettings = Field(
        LoadingSettings(), description="How rows are moved from the disk."
    )
    running: RunningSettings = Field(
        RunningSettings(), description="How trainings are run: checkpoints, slots in one call."
    )
    lineage: LineageSettings = Field(
        LineageSettings(), description="What is recorded of every run. No result depends on it."
    )
    evaluation: EvaluationSettings = Field(
        EvaluationSettings(), description="How every split is evaluated."
    )

    @model_validator(mode="after")
    def _check_splits(self) -> "Configuration":
        if bool(self.splits) == (self.folds is not None):
            found = "both" if self.splits else "neither"
            raise ValueError(f"either named `splits` or `folds: N` is needed; found {found}")
        return self

    def as_given(self) -> dict[str, Any]:
        """Return what was set, without the defaults; as JSON, it reads back as the same."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def split_names(self) -> list[str]:
        """The names of all splits, in the order of the file."""
        if self.folds is not None:
            return [f"fold_{number}" for number in range(1, self.folds + 1)]
        return list(self.splits)

    def training_of(self, split: str) -> TrainingSettings:
        """Return the training settings of a split: the defaults and its own over them."""
        own = self.splits[split].training if split in self.splits else TrainingOverrides()
        settings = self.training.model_dump()
        for name in own.model_fields_set:
            value = getattr(own, name)
            if isinstance(value, PartialChoice):
                value = value.over(getattr(self.training, name))
            elif isinstance(value, ShuffleSettings):
                value = (settings[name] or {}) | value.model_dump(exclude_unset=True)
            settings[name] = value
        return TrainingSettings.model_validate(settings)

    def ranges_of(self, split: str, rows: int) -> tuple[list[Range], list[Range], list[str]]:
        """Return the training ranges and the evaluation ranges of a split, and what is wrong.

        Args:
            split: one of ``split_names``.
            rows: the rows of the data.
        """
        if self.folds is None:
            return self.splits[split].resolve(f"splits.{split}", rows)
        fold = self.split_names.index(split)
        if rows < self.folds:
            return [], [], [f"folds: {self.folds} folds of {rows} rows leave some empty."]
        start, end = (rows * edge // self.folds for edge in (fold, fold + 1))
        train = [Range(0, start), Range(end, rows)]
        return [piece for piece in train if piece.rows], [Range(start, end)], []

    def range_problems(self, rows: int) -> Iterator[str]:
        """Yield what is wrong with the ranges of all splits in a file of ``rows`` rows."""
        for split in self.split_names:
            yield from self.ranges_of(split, rows)[2]


def config_schema() -> str:
    """Return the JSON schema of the configuration, as ``schemas/`` holds it."""
    schema = Configuration.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2) + "\n"
