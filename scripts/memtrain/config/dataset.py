"""The settings of a dataset: rows that are generated, or imported from the user's files."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from memtrain.config.types import FROM_TEXT, Count, FilePath, Name, Seed, Settings
from memtrain.core.wording import did_you_mean, listed, shown

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
                f"column {shown(column)} has the type {shown(dtype)}; known types are "
                f"{listed(_DTYPES)}.{did_you_mean(dtype, _DTYPES)}"
            )
    return dtypes


def _read_column_name(name: Any) -> Any:
    if name is None or isinstance(name, bool):
        raise ValueError(
            "this is no name of a column: YAML takes words such as no, yes, on, off and null for "
            "something else, so write the name in quotes"
        )
    # A column of a matrix is named by its number, which YAML reads as a number.
    return str(name) if type(name) is int else name


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
ColumnName = Annotated[str, BeforeValidator(_read_column_name)]
Columns = Annotated[list[ColumnName], Field(min_length=1)]


class ImportSettings(Settings):
    """Rows that are imported from the user's files into one record file."""

    path: FilePath = Field(
        description="A file (.npy, .npz, .csv, .csv.gz, .zip of CSV files, .parquet, .arrow or "
        ".feather), a folder of such files, or a pattern like data/*.csv; relative to the working "
        "directory.",
    )
    features: Columns = Field(
        description="Columns that the model sees; the columns of a .npy matrix by their numbers."
    )
    target: Columns = Field(description="Columns that the model learns to predict.")
    dtypes: Annotated[dict[ColumnName, str], AfterValidator(_check_dtypes)] = Field(
        default_factory=dict,
        description="Types by column, or one for all `features` and one for the `target`; columns "
        "without a type become float32. A target of an integer type, here or in the file, is a "
        "class.",
    )
    inexact: Annotated[Inexact | dict[ColumnName, Inexact], BeforeValidator(_read_inexact)] = Field(
        default="error",
        description="What happens where the type of a column cannot hold an integer exactly, or "
        "merges numbers that lie close together. error: the import stops; round: the nearest "
        "number is written. One for all columns, or by column.",
    )
    categories: list[ColumnName] = Field(
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
    shuffle_once: Seed | None = Field(
        default=None,
        description="Seed of a random order in which the rows are written, for rows that are "
        "sorted; null keeps them in the order of the files.",
    )

    @model_validator(mode="after")
    def _check_columns(self) -> "ImportSettings":
        columns = self.features + self.target
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"columns appear twice in features and target: {listed(twice)}")
        inexact = list(self.inexact) if isinstance(self.inexact, dict) else []
        for key, names in (
            ("categories", self.categories),
            ("dtypes", list(self.dtypes)),
            ("inexact", inexact),
            ("missing", list(self.missing) if isinstance(self.missing, dict) else []),
        ):
            has_fields = key in ("dtypes", "missing")
            allowed = columns + (["features", "target"] if has_fields else [])
            unknown = [name for name in names if name not in allowed]
            if unknown:
                raise ValueError(
                    f"{key} names {listed(unknown)}, which is not among features and target."
                    f"{did_you_mean(unknown[0], allowed)}"
                )
        return self

    def missing_policy(self, column: str) -> Missing:
        """Return what happens at a missing value of a column."""
        if not isinstance(self.missing, dict):
            return self.missing
        field = "target" if column in self.target else "features"
        return self.missing.get(column, self.missing.get(field, "error"))

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
        default=None, alias="import", description="Rows from your own files."
    )

    @model_validator(mode="after")
    def _check_source(self) -> "DatasetSettings":
        if (self.mock is None) == (self.import_ is None):
            found = "neither" if self.mock is None else "both"
            raise ValueError(
                f"one source of rows is needed, `mock` or `import`; found {found}. "
                + ("Add one of them." if found == "neither" else "Remove one of them.")
            )
        return self
