"""The settings of a dataset: rows that are made up, or brought from files of the user's own."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from memtrain.config.types import Count, Name, Number, Seed, Settings, read_number
from memtrain.core.wording import did_you_mean, listed


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
    shuffle_once: Seed | None = Field(
        None,
        description="A seed writes the rows in random order, for rows that lie sorted; null keeps "
        "them in the order of the files.",
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
