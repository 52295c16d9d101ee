"""The settings of a dataset: rows that are generated, imported, or read where they lie."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from memtrain.config.files import FilesSettings
from memtrain.config.plain_values import read_number
from memtrain.config.selections import ColumnName, Selections, plain_names
from memtrain.config.text_files import CsvSettings
from memtrain.config.types import (
    FROM_TEXT,
    NUMBER_TYPES,
    Count,
    FilePath,
    Name,
    Seed,
    Settings,
)
from memtrain.core.wording import did_you_mean, listed, shown

_ValueT = TypeVar("_ValueT")

#: Size of the largest file of any file system.
_LARGEST_FILE = 2**63 - 1

#: Bytes that a generated row takes for each feature and for the target, at most.
_MOCK_VALUE_BYTES = 8


def _check_noise(noise: float) -> float:
    # Scores are divided by it, and float32 has to hold the quotients.
    if 0 < noise < 1e-15:
        raise ValueError("noise so small is lost; use 0 or at least 1e-15")
    return noise


class MockSettings(Settings):
    """Generated rows: features uniform in [0, 1), and a target that a model can learn from them."""

    rows: Count = Field(
        description="Number of rows. A larger number adds rows and leaves the first ones as they "
        "are."
    )
    features: Annotated[int, Field(ge=1, le=100_000), FROM_TEXT] = Field(
        default=20, description="Number of features of a row."
    )
    target: Literal["random", "linear", "mlp"] = Field(
        default="mlp",
        description="How the target follows from the features. random: not at all; linear, mlp: by "
        "a linear function or a small neural network with fixed weights (the teacher).",
    )
    noise: Annotated[float, Field(ge=0, le=1e15), AfterValidator(_check_noise), FROM_TEXT] = Field(
        default=0.1,
        description="Standard deviation of the normal noise on the target; with `classes`, the "
        "temperature at which the class is drawn.",
    )
    classes: Annotated[int, Field(ge=2, le=1024), FROM_TEXT] | None = Field(
        default=None,
        description="Number of classes, which makes the target a class from 0 to classes - 1; null "
        "makes it a number.",
    )
    seed: Seed = Field(default=0, description="Seed of the rows, of the teacher and of the noise.")

    @model_validator(mode="after")
    def _check_size(self) -> "MockSettings":
        size = self.rows * (self.features + 1) * _MOCK_VALUE_BYTES
        if size > _LARGEST_FILE:
            raise ValueError(
                f"{self.rows} rows of {self.features} features are more than any file can hold "
                f"({_LARGEST_FILE} bytes); use fewer `rows` or `features`"
            )
        return self


#: Types of features that are dates or times; text spells the first two.
TIME_TYPES = ("date", "timestamp", "time", "duration")


def _check_dtypes(dtypes: dict[str, str]) -> dict[str, str]:
    for column, dtype in dtypes.items():
        known = [*NUMBER_TYPES, *TIME_TYPES]
        if dtype not in known:
            raise ValueError(
                f"column {shown(column)} has the type {shown(dtype)}; known types are "
                f"{listed(known)}.{did_you_mean(dtype, known)}"
            )
        if dtype in TIME_TYPES and column in ("features", "target"):
            raise ValueError(f"{column} cannot be a {dtype} as a whole; name the columns that are")
    return dtypes


def _refuse_mean(value: Any) -> Any:
    given = value.values() if isinstance(value, dict) else [value]
    if "mean" in list(given):
        raise ValueError(
            "a mean is taken from the training rows of each split now, so that no other row plays "
            "a part; write `missing: keep` here, and `impute: mean` under `training`"
        )
    return value


def _read_missing(value: Any) -> Any:
    return _one_or_by_column(_refuse_mean(value), ("error", "drop", "keep"))


def _read_inexact(value: Any) -> Any:
    return _one_or_by_column(value, ("error", "round"))


def _one_or_by_column(value: Any, allowed: tuple[str, ...]) -> Any:
    given = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(one, str) and one in allowed for one in given):
        raise ValueError(f"should be one of {listed(allowed)}, or one of them by column")
    return value


Missing = Literal["error", "drop", "keep"]
Inexact = Literal["error", "round"]


class TwoPaths(Settings):
    """Files of the features and files of the target, whose rows lie in the same order."""

    features: FilePath = Field(description="A file, a folder or a pattern: the features.")
    target: FilePath = Field(description="A file, a folder or a pattern: the target.")

    def __str__(self) -> str:
        return f"{self.features} and {self.target}"


def _read_path(value: Any) -> Any:
    if isinstance(value, dict):
        try:
            return TwoPaths.model_validate(value)
        except ValidationError:
            raise ValueError(
                "two paths are needed, of the features and of the target: "
                "{features: X.npy, target: y.npy}"
            ) from None
    if not isinstance(value, str | TwoPaths) or value == "":
        raise ValueError("a file, a folder or a pattern such as data/*.csv is needed")
    return value


ImportPath = Annotated[FilePath | TwoPaths, BeforeValidator(_read_path)]


def _allow_seed_alone(schema: dict[str, Any]) -> None:
    """Let a JSON schema accept the seed in place of a mapping."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [mapping["properties"]["seed"] | {"description": "The seed."}, mapping]


class ShuffleOnceSettings(Settings):
    """A random order of all rows; a number stands for its seed."""

    model_config = Settings.model_config | {"json_schema_extra": _allow_seed_alone}

    seed: Seed = Field(description="Seed of the order.")
    stratify_by: ColumnName | None = Field(
        default=None,
        description="A column of classes: every range of rows has the shares of its classes, to "
        "less than 2 rows of each. It need not be a feature or a target.",
    )
    group_by: ColumnName | None = Field(
        default=None,
        description="A column whose rows of one value, a group, are written together, the groups "
        "in random order. Ranges and folds cut no group. It need not be a feature or a target.",
    )

    @model_validator(mode="after")
    def _check_columns(self) -> "ShuffleOnceSettings":
        if self.stratify_by is not None and self.group_by is not None:
            raise ValueError(
                "found both stratify_by and group_by; where groups are kept whole, the shares of "
                "classes are what the groups make them. Use one of them"
            )
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, as_mapping: SerializerFunctionWrapHandler) -> Any:
        # A seed alone is written as it is given, so that results of such an order stay current.
        is_seed_alone = self.stratify_by is None and self.group_by is None
        return self.seed if is_seed_alone else as_mapping(self)


def _read_shuffle_once(value: Any) -> Any:
    is_number = value is not None and not isinstance(value, (dict, ShuffleOnceSettings))
    return {"seed": read_number(value)} if is_number else value


#: The order of ``shuffle_once``, or its seed.
ShuffleOnce = Annotated[ShuffleOnceSettings, BeforeValidator(_read_shuffle_once)]


class ImportSettings(Settings):
    """Rows that are imported from the user's files into one record file."""

    path: ImportPath = Field(
        description="A file (.npy, .npz, .csv, .tsv, .txt, these packed as .gz or .zip, .parquet, "
        ".arrow or .feather), a folder of such files, or a pattern like data/*.csv; relative to "
        "the working directory. For features and target in two files, {features: X.npy, target: "
        "y.npy}.",
    )
    features: Annotated[Selections, Field(min_length=1)] = Field(
        description="Columns that the model sees: names (of a .npy matrix, numbers), patterns such "
        "as 'pixel_*', positions such as '0:64' or ':', {type: number}, {all_but: [id]}, or a list "
        "of these. The target is none of them."
    )
    target: Annotated[Selections, Field(min_length=1)] = Field(
        description="Columns that the model learns to predict, as for `features`."
    )
    dtypes: Annotated[dict[ColumnName, str], AfterValidator(_check_dtypes)] = Field(
        default_factory=dict,
        description="Types by column, or one for all `features` and one for the `target`; columns "
        "without a type become float32. A target of an integer type, here or in the file, is a "
        "class. date and timestamp are features in seconds; text spells them as ISO 8601 does, or "
        "otherwise with one meaning (2024/01/31, 31.01.2024); in files with types, dates and times "
        "need none.",
    )
    inexact: Annotated[Inexact | dict[ColumnName, Inexact], BeforeValidator(_read_inexact)] = Field(
        default="error",
        description="What happens where the type of a column cannot hold an integer exactly, or "
        "merges numbers that lie close together. error: the import stops; round: the nearest "
        "number is written. One for all columns, or by column.",
    )
    categories: Selections = Field(
        default_factory=list,
        description="Columns that hold categories. `encode` of a training says what a feature "
        "becomes; a target becomes the number of its class.",
    )
    missing: Annotated[Missing | dict[ColumnName, Missing], BeforeValidator(_read_missing)] = Field(
        default="error",
        description="What happens at a missing value. error: the import stops; drop: the row is "
        "left out; keep: it stays missing, and `impute` of the training fills it. One for all "
        "columns, or by column, or one for all `features` and one for the `target`.",
    )
    csv: CsvSettings = Field(
        default=CsvSettings(),
        description="How text files (.csv, .tsv, .txt) are written: their delimiter, decimal sign, "
        "encoding, words for missing values, lines above the header.",
    )
    shuffle_once: ShuffleOnce | None = Field(
        default=None,
        description="A random order in which the rows are written, for rows that are sorted: a "
        "seed, or a mapping; null keeps them in the order of the files.",
    )
    group_by: ColumnName | None = Field(
        default=None,
        description="For rows that are not shuffled: a column whose rows of one value, a group, "
        "lie together. Ranges and folds cut no group. The import stops where rows of a group lie "
        "apart; `shuffle_once` with a `group_by` brings them together.",
    )

    @model_validator(mode="after")
    def _check_order(self) -> "ImportSettings":
        if self.group_by is not None and self.shuffle_once is not None:
            raise ValueError(
                "group_by is for rows that keep their order; beside shuffle_once, write "
                f"`shuffle_once: {{seed: {self.shuffle_once.seed}, group_by: {self.group_by}}}`"
            )
        return self

    @property
    def group_column(self) -> str | None:
        """The column whose values are groups that no range cuts; None where there is none."""
        shuffle = self.shuffle_once
        return self.group_by if shuffle is None else shuffle.group_by

    @property
    def order_column(self) -> str | None:
        """The column by which rows are ordered; None where there is none."""
        stratified = None if self.shuffle_once is None else self.shuffle_once.stratify_by
        return stratified or self.group_column

    def named_part(self) -> "ResolvedImport":
        """Return the settings with the columns that are named; patterns and the like are left out.

        This is what is known before any file is opened.
        """
        names = {
            field: plain_names(getattr(self, field))
            for field in ("features", "target", "categories")
        }
        return ResolvedImport.model_validate(self.model_dump() | names)


class ResolvedImport(ImportSettings):
    """Settings of an import whose columns are all named, in the order in which they are written.

    Selections of other kinds were looked up in the files. The keys of settings by column are names,
    beside "features" and "target". Where a feature is called "target", that key means this column
    alone, and so does "features" where the target is called so.
    """

    # Settings never change, so that narrower types are safe.
    features: list[str]  # pyright: ignore[reportIncompatibleVariableOverride]
    target: list[str]  # pyright: ignore[reportIncompatibleVariableOverride]
    categories: list[str] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default_factory=list
    )

    def missing_policy(self, column: str) -> Missing:
        """Return what happens at a missing value of a column."""
        if not isinstance(self.missing, dict):
            return self.missing
        return self._of_column(self.missing, column) or "error"

    def declared_type(self, column: str) -> str | None:
        """Return the type that the settings give a column; None where they give it none."""
        return self._of_column(self.dtypes, column)

    def _of_column(self, values: Mapping[str, _ValueT], column: str) -> _ValueT | None:
        """Return what a setting gives a column by its name, or else by its field."""
        if column in values:
            return values[column]
        is_target = column in self.target
        field, others = ("target", self.features) if is_target else ("features", self.target)
        return None if field in others else values.get(field)

    def rounds(self, column: str) -> bool:
        """Return whether a column may lose digits of integers."""
        if isinstance(self.inexact, dict):
            return self.inexact.get(column) == "round"
        return self.inexact == "round"


class DatasetSettings(Settings):
    """Where the rows come from, and the name of their results."""

    name: Name = Field(description="Name of the dataset; its results go to results/<name>/.")
    mock: MockSettings | None = Field(default=None, description="Generated rows, to try things.")
    import_: ImportSettings | None = Field(
        default=None, alias="import", description="Rows from your own tables, which are copied."
    )
    files: FilesSettings | None = Field(
        default=None, description="Rows of your own files, read where they lie."
    )

    @model_validator(mode="after")
    def _check_source(self) -> "DatasetSettings":
        given = {"mock": self.mock, "import": self.import_, "files": self.files}
        found = [name for name, source in given.items() if source is not None]
        if len(found) != 1:
            raise ValueError(
                "one source of rows is needed, `mock`, `import` or `files`; found "
                + (f"{listed(found)}. Remove all but one." if found else "none. Add one of them.")
            )
        return self
