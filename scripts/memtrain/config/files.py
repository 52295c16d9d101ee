"""The settings of rows in files: what is read where it lies, and what a row of it is."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from memtrain.config.ragged import RaggedSettings
from memtrain.config.selections import positions_of
from memtrain.config.types import FROM_TEXT, NUMBER_TYPES, Count, FilePath, Settings
from memtrain.config.windows import FIELD_NAME, Place, WindowSettings
from memtrain.core.wording import did_you_mean, listed, shown

#: Types of values in raw files, by name.
DTYPES = ("bfloat16", *NUMBER_TYPES)

_WITH_BYTE_ORDER = re.compile("[<>]([iu][1248]|f[248])")


def _check_dtype(name: str) -> str:
    if name not in DTYPES and not _WITH_BYTE_ORDER.fullmatch(name):
        raise ValueError(
            f"known types are {listed(DTYPES)}; '>u2' and the like have the bytes of every value "
            f"in the other order.{did_you_mean(name, DTYPES)}"
        )
    return name


def _read_paths(value: Any) -> Any:
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError("a file, a pattern such as corpus/*.bin, or a list of these is needed")
    return paths


def _read_shape(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _check_field_names(fields: dict[str, Any]) -> dict[str, Any]:
    for name in fields:
        if not FIELD_NAME.fullmatch(name):
            raise ValueError(
                f"{shown(name)} becomes the name of a field: use letters from a to z, digits and "
                "'_', and begin with a letter"
            )
    return fields


def _check_part(part: str) -> str:
    places = positions_of(part)
    if places is None or any(end is not None and end < 0 for end in (places.start, places.stop)):
        raise ValueError("places of a row are written as '0:64', '64:' or ':64'")
    if places.start is not None and places.stop is not None and places.start >= places.stop:
        raise ValueError("these are no places: the first must come before the end")
    return part


def _read_parts(value: Any) -> Any:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            "columns of one matrix are places such as '0:64'; fields of records and arrays of a "
            "file are names, or a list of names"
        )
    if len(names) > 1 and any(positions_of(name) for name in names):
        raise ValueError("one run of places such as '0:64' is needed, not several")
    if len(names) == 1 and positions_of(names[0]):
        _check_part(names[0])
    return names


_TEXT_OR_TEXTS: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
}

Paths = Annotated[list[FilePath], BeforeValidator(_read_paths), WithJsonSchema(_TEXT_OR_TEXTS)]
Parts = Annotated[list[str], BeforeValidator(_read_parts), WithJsonSchema(_TEXT_OR_TEXTS)]
_AXIS: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}

#: The formats of files that are read where they lie.
FileFormat = Literal["raw", "npy", "megatron", "modded_nanogpt", "safetensors", "arrow"]

Shape = Annotated[
    list[Count],
    BeforeValidator(_read_shape),
    WithJsonSchema(
        {
            "anyOf": [
                _AXIS,
                {"type": "array", "items": _AXIS},
            ]
        }
    ),
]


class _FieldsOfFiles(Settings):
    """Where values lie that have one name, one type and one shape."""

    format: FileFormat | None = Field(
        default=None,
        description="Format of the files. raw: values of `dtype` and nothing else, but for "
        "`header_bytes`; null: what the files begin with says it, and others are raw.",
    )
    dtype: Annotated[str, AfterValidator(_check_dtype)] | None = Field(
        default=None,
        description="Type of the values in raw files, such as uint16, bfloat16 or >i4 "
        "(big-endian); other files know theirs.",
    )
    shape: Shape = Field(
        default_factory=list,
        description="Shape of one element in raw files, such as [28, 28]; none for single values.",
    )
    header_bytes: Place = Field(
        default=0, description="Bytes at the start of every raw file that are no values."
    )
    array: str | None = Field(
        default=None,
        min_length=1,
        description="Which array: of files that hold several (safetensors, Arrow), its name; of "
        "records, the name of a field.",
    )
    windows: WindowSettings | None = Field(
        default=None,
        description="Rows that are windows of the stream; null: each element is a row.",
    )
    ragged: RaggedSettings | None = Field(
        default=None,
        description="Rows that vary in length, in place of `windows`.",
    )

    @property
    def is_raw(self) -> bool:
        """Whether settings say how raw files are to be read."""
        return self.format == "raw" or self.dtype is not None

    @property
    def has_target_in_rows(self) -> bool:
        """Whether the target of a row is some of its own elements."""
        in_windows = self.windows is not None and self.windows.target_places is not None
        return in_windows or (self.ragged is not None and self.ragged.target is not None)

    @property
    def varies_in_length(self) -> bool:
        """Whether rows have different numbers of elements."""
        is_padded = self.windows is not None and self.windows.rest == "pad"
        return self.ragged is not None or is_padded

    def problems_of_elements(self) -> list[str]:
        """Return what does not go together in how rows are made of elements."""
        if self.windows is not None and self.ragged is not None:
            return ["rows are either `windows` or `ragged`; remove one"]
        return self._problems_of_raw_files()

    def _problems_of_raw_files(self) -> list[str]:
        """Return what is said of raw files without their type."""
        if self.dtype is not None:
            return []
        given = [
            name
            for name, is_given in (
                ("format: raw", self.format == "raw"),
                ("shape", bool(self.shape)),
                ("header_bytes", self.header_bytes > 0),
            )
            if is_given
        ]
        return [f"{listed(given)} needs `dtype`, the type of the values in raw files"] * bool(given)


class FieldSettings(_FieldsOfFiles):
    """A field of the rows that lies in files of its own, beside the other fields."""

    path: Paths = Field(
        description="A file, a pattern such as data/*.npy, or a list of these: laid end to end, in "
        "natural order (part 2 before part 10); a list in its own order."
    )
    part: Annotated[str, AfterValidator(_check_part)] | None = Field(
        default=None,
        description="Places of a row that belong to the field, such as '0:64'; null for all.",
    )
    target: bool = Field(
        default=False, description="Whether the field is the target, which one field is."
    )

    @model_validator(mode="after")
    def _check(self) -> "FieldSettings":
        problems = self.problems_of_elements()
        if self.target and self.has_target_in_rows:
            problems.append("a field is either the target or has one in its rows; remove one")
        if self.part is not None and self.varies_in_length:
            problems.append("`part` names places that every row has, and these rows vary in length")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class FilesSettings(_FieldsOfFiles):
    """Rows that are read from files where they lie; nothing is copied."""

    path: Paths | None = Field(
        default=None,
        description="A file, a pattern such as corpus/*.bin, or a list of these: laid end to end, "
        "in natural order (part 2 before part 10); a list in its own order.",
    )
    fields: (
        Annotated[dict[str, FieldSettings], Field(min_length=1), AfterValidator(_check_field_names)]
        | None
    ) = Field(
        default=None,
        description="In place of `path`: fields that lie side by side in files of their own, by "
        "name. Row i has value i of each. One of them is the target.",
    )
    features: Parts | None = Field(
        default=None,
        description="With `path`: what the model sees. Columns of a matrix such as '0:2304'; or "
        "names of fields of records, or of arrays of a file. null: all that is not the target.",
    )
    target: Parts | None = Field(
        default=None, description="With `path`: what it learns to predict, as for `features`."
    )
    task: Literal["regression", "classification"] | None = Field(
        default=None,
        description="Whether the target is a number or a class; null: whole numbers are classes.",
    )
    classes: Annotated[int, Field(ge=2, le=2**31), FROM_TEXT] | None = Field(
        default=None,
        description="Number of classes, such as the size of a vocabulary; null: the largest target "
        "in all rows and one.",
    )

    @model_validator(mode="after")
    def _check(self) -> "FilesSettings":
        problems = self._source_problems()
        problems += self._problems_of_path() if self.fields is None else self._problems_of_fields()
        if self.task == "regression" and self.classes is not None:
            problems.append(
                "`classes` says how many classes there are, and `task: regression` that there are "
                "none; remove one"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _source_problems(self) -> list[str]:
        if (self.path is None) == (self.fields is None):
            found = "neither" if self.path is None else "both"
            return [f"one of `path` and `fields` is needed; found {found}"]
        return []

    def _problems_of_path(self) -> list[str]:
        problems = self.problems_of_elements()
        cut = "windows" if self.ragged is None else "ragged"
        if self.windows is not None and (other := self.windows.target_field):
            problems.append(
                f"`windows.target: {other}` names a field, and there are none with `path`; of "
                f"files that hold several arrays, use `features` and `target: {other}` beside "
                "`windows`, else `fields`"
            )
        elif self.has_target_in_rows and (self.target or self.features):
            problems.append(
                f"`{cut}.target` says what the target is, and `features` or `target` says it "
                "again; remove one"
            )
        elif not self.has_target_in_rows and self.target is None:
            problems.append(
                "`target` is missing: what the model learns to predict. Columns of a matrix such "
                "as '2304:', a name, `windows: {target: next}`, or a field of its own under "
                "`fields`"
            )
        if self.features and self.target and (both := set(self.features) & set(self.target)):
            problems.append(f"{listed(sorted(both))} cannot be a feature and a target")
        if self.array is not None and any(
            positions_of(name) is None for name in [*(self.features or ()), *(self.target or ())]
        ):
            problems.append("`array` names one array, and `features` and `target` name others")
        return problems

    def _problems_of_fields(self) -> list[str]:
        problems = []
        of_fields = ("features", "target", *_FieldsOfFiles.model_fields)
        empty = FilesSettings.model_construct()
        misplaced = [name for name in of_fields if getattr(self, name) != getattr(empty, name)]
        if misplaced and self.path is None:
            problems.append(f"{listed(misplaced)} belongs into a field; move it there")
        fields = self.fields or {}
        named = {
            name: one.windows.target_field
            for name, one in fields.items()
            if one.windows is not None and one.windows.target_field
        }
        problems += [
            problem
            for name, other in named.items()
            if (problem := _problem_of_window_target(name, other, fields))
        ]
        targets = {name for name, one in fields.items() if one.target or one.has_target_in_rows}
        targets |= set(named.values())
        if len(targets) != 1:
            problems.append(
                f"one field is the target; found {listed(sorted(targets)) or 'none'}. Write "
                "`target: true` into one field"
            )
        if all(one.target for one in fields.values()):
            problems.append("no field is left for the features; add one")
        return problems


def _problem_of_window_target(
    name: str, other: str, fields: Mapping[str, FieldSettings]
) -> str | None:
    """Return what is wrong with the field whose windows are the target; None if nothing is.

    Args:
        name: the field that has the windows.
        other: the field that they name.
        fields: all fields.
    """
    key = f"fields.{name}.windows.target"
    if other == name or other not in fields:
        others = [one for one in fields if one != name]
        return (
            f"{key}: found {other}; it is `next`, {{offset, length}}, or another field: "
            f"{listed(others) or 'there is none yet'}.{did_you_mean(other, others)}"
        )
    if fields[other].windows is not None or fields[other].ragged is not None:
        return f"{key}: {other} has the windows of {name}; remove its own `windows` or `ragged`"
    if fields[other].part is not None and fields[name].varies_in_length:
        return f"{key}: these windows vary in length, and `part` of {other} names places of all"
    return None


def read_part(part: str | None) -> tuple[int | None, int | None]:
    """Return the places that a part such as "0:64" stands for; None for an open end."""
    places = None if part is None else positions_of(part)
    return (None, None) if places is None else (places.start, places.stop)
