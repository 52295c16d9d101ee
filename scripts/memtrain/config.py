"""The settings: the only place that knows a key's name, its default and what it may hold.

``config_file`` reads them from files and tells all mistakes at once; the JSON schema in
``schemas/`` is generated from these models.
"""

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    create_model,
    model_validator,
)

from memtrain.errors import did_you_mean, listed
from memtrain.ranges import Range, overlaps, parse_bound, resolve_bound, self_overlaps
from memtrain.settings_types import (
    Choice,
    Count,
    Name,
    Number,
    PartialChoice,
    Seed,
    Settings,
    read_number,
)


class MockSettings(Settings):
    """Rows that are made up: features uniform in [0, 1), and a target to learn from them."""

    rows: Count = Field(description="Number of rows. More rows leave the first ones as they were.")
    features: Count = Field(20, description="Number of features of a row.")
    target: Literal["random", "linear", "mlp"] = Field(
        "mlp",
        description="random: nothing can be learned; linear, mlp: a teacher with fixed weights.",
    )
    noise: Annotated[Number, Field(ge=0)] = Field(
        0.1,
        description="Standard deviation of the normal noise on the target; with `classes`, the "
        "temperature at which the class is drawn.",
    )
    classes: Annotated[int, BeforeValidator(read_number), Field(ge=2, le=1024)] | None = Field(
        None, description="Makes the target a class, 0 to classes - 1; null for a number."
    )
    seed: Seed = Field(0, description="Seed of the rows, the teacher and the noise.")


_DTYPES = (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "bool",
)


def _check_dtypes(dtypes: dict[str, str]) -> dict[str, str]:
    for column, dtype in dtypes.items():
        if dtype not in _DTYPES:
            raise ValueError(
                f"column {column!r} has the type {dtype!r}; known are {listed(_DTYPES)}."
                f"{did_you_mean(dtype, _DTYPES)}"
            )
    return dtypes


# The columns of a matrix are numbers, and stand in YAML as such.
ColumnName = Annotated[str, BeforeValidator(lambda name: str(name) if type(name) is int else name)]
Columns = Annotated[list[ColumnName], Field(min_length=1)]


class ImportSettings(Settings):
    """Rows of the user's own, brought into one record file."""

    path: str = Field(
        min_length=1,
        description="A file (.npy, .npz, .csv, .csv.gz, .zip of CSV, .parquet, .arrow, .feather), "
        "a folder of them or a pattern like data/*.csv; relative to the working directory.",
    )
    features: Columns = Field(
        description="The columns that the model sees; of a .npy matrix by number."
    )
    target: Columns = Field(description="The columns that it learns to predict.")
    dtypes: Annotated[dict[ColumnName, str], AfterValidator(_check_dtypes)] = Field(
        default_factory=dict,
        description="The type of a column, or of all `features` or of the `target`; float32 unless "
        "given. A target of integers is a class.",
    )
    categories: list[ColumnName] = Field(
        default_factory=list,
        description="Columns of text: a feature becomes one column a word (one-hot), a target "
        "becomes the number of its class.",
    )
    missing: Literal["error", "drop", "mean"] = Field(
        "error",
        description="What is done about a missing value: stop, leave the row out, or put the "
        "column's mean in its place (numbers only).",
    )

    @model_validator(mode="after")
    def _check_columns(self) -> "ImportSettings":
        columns = self.features + self.target
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"columns stand twice among features and target: {listed(twice)}")
        for key, names in (("categories", self.categories), ("dtypes", list(self.dtypes))):
            allowed = columns + (["features", "target"] if key == "dtypes" else [])
            unknown = [name for name in names if name not in allowed]
            if unknown:
                raise ValueError(
                    f"{key} names {listed(unknown)}, which is neither a feature nor a target."
                    f"{did_you_mean(unknown[0], allowed)}"
                )
        return self


class DatasetSettings(Settings):
    """Where the rows come from, and what their results are called."""

    name: Name = Field(description="Results go to results/<name>/.")
    mock: MockSettings | None = Field(None, description="Rows that are made up.")
    import_: ImportSettings | None = Field(None, alias="import", description="Rows of your own.")

    @model_validator(mode="after")
    def _check_source(self) -> "DatasetSettings":
        if (self.mock is None) == (self.import_ is None):
            found = "neither" if self.mock is None else "both"
            raise ValueError(
                f"one source of rows is needed, `mock` or `import`; found {found}. "
                + ("Add one of them." if found == "neither" else "Remove one of them.")
            )
        return self


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


class TrainingSettings(Settings):
    """How a model is trained. All of it is part of the recipe: a change trains again."""

    model: Choice = Field(
        Choice(name="mlp"),
        description="linear, mlp (with hidden: [sizes]) or package.module:Class, with its keyword "
        "arguments; in_features and out_features are filled in where it takes them.",
    )
    transform: Choice = Field(
        Choice(name="none"),
        description="What is done to a row on its way: none, scale (factor, offset), standardize, "
        "or package.module:function.",
    )
    loss: Choice = Field(
        Choice(name="MSELoss"),
        description='A torch.nn loss that has reduction="sum", with its arguments.',
    )
    optimizer: Choice = Field(
        Choice(name="Adam", lr=0.001), description="A torch.optim class, with its arguments."
    )
    scheduler: Choice | None = Field(
        None,
        description="A torch.optim.lr_scheduler class, with its arguments, stepped once an "
        "optimizer step; null for none.",
    )
    batch_size: Count = Field(16, description="Rows of one micro-batch.")
    accumulation_steps: Count = Field(8, description="Micro-batches of one optimizer step.")
    last_window: Literal["step", "drop"] = Field(
        "step",
        description="What is done with the short accumulation window at the end of an epoch.",
    )
    epochs: Count = Field(3, description="Passes over the training rows.")
    seed: Seed = Field(0, description="Seed of the initial weights and of the row order.")
    threads: Count = Field(
        1, description="Threads of a training. Sums differ in their last bits between numbers."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one."
    )


def _as_override(hint: Any) -> Any:
    return PartialChoice | None if hint in (Choice, Choice | None) else hint


# A split may override any setting of `training`: the same keys, none of them required.
TrainingOverrides = create_model(
    "TrainingOverrides",
    __base__=Settings,
    __doc__="Settings of `training` that differ for one split.",
    **{
        name: (
            _as_override(get_type_hints(TrainingSettings, include_extras=True)[name]),
            Field(field.default, description=field.description),
        )
        for name, field in TrainingSettings.model_fields.items()
    },
)


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
    splits: dict[Name, SplitSettings] = Field(
        default_factory=dict, description="What is trained and evaluated, by name."
    )
    folds: Annotated[int, BeforeValidator(read_number), Field(ge=2)] | None = Field(
        None,
        description="In place of `splits`, a cross-validation: fold_1 is evaluated on the first "
        "of so many equal parts of the rows and trained on the others, and so on.",
    )
    training: TrainingSettings = Field(TrainingSettings(), description="Defaults of every split.")
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
