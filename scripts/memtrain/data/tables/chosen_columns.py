"""The columns that the settings of an import choose, as features and target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from memtrain.config.dataset import TIME_TYPES, ResolvedImport
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.record_file import record_dtype
from memtrain.data.source import FEATURES, PRESENT
from memtrain.data.tables.columns import (
    CategoryFeature,
    CategoryTarget,
    Cells,
    ClassColumn,
    Column,
    NumberColumn,
)
from memtrain.data.tables.time_column import TimeColumn


@dataclass(frozen=True)
class ChosenColumns:
    """The columns of an import.

    Attributes:
        features: columns that the model sees.
        target: columns that the model learns to predict.
    """

    features: list[Column]
    target: list[Column]

    @classmethod
    def from_settings(
        cls, settings: ResolvedImport, types: Mapping[str, pa.DataType] | None = None
    ) -> "ChosenColumns":
        """Return the columns that settings choose.

        Args:
            settings: settings of the import.
            types: types of the columns in the tables, by their names; None where nobody has opened
                them. A target of integers there is a class, unless the settings give it a type.

        Raises:
            UserError: where the target is a class but has several columns, or is a category but
                has a type other than int64.
        """
        columns = cls(
            features=[_feature_column(settings, name) for name in settings.features],
            target=_target_columns(settings, types or {}),
        )
        for column in columns.target:
            if isinstance(column, NumberColumn):
                column.stored = _common_dtype(columns.target)
        return columns

    @property
    def all(self) -> list[Column]:
        """Features, then target."""
        return [*self.features, *self.target]

    @property
    def fields(self) -> list["StoredField"]:
        """The fields of a record; their widths are known once all rows have been read."""
        return [*self._feature_fields(), StoredField("target", self.target)]

    @property
    def dtype(self) -> np.dtype:
        """The dtype of one record; its widths are known once all rows have been read."""
        return record_dtype(**{field.name: (field.dtype.str, field.shape) for field in self.fields})

    def place_of(self, column: Column) -> tuple[str, int]:
        """Return the field of a column, and the position of its first value in the field."""
        for field in self.fields:
            if column in field.columns and not field.is_validity:
                before = field.columns[: field.columns.index(column)]
                return field.name, sum(len(one.names) for one in before)
        raise ValueError(f"{column.name} is in no field")

    def validity_place_of(self, column: Column) -> int | None:
        """Return the position of a column's first value in the field of validity, or None."""
        for field in self.fields:
            if field.is_validity and column in field.columns:
                before = field.columns[: field.columns.index(column)]
                return sum(len(one.names) for one in before)
        return None

    def _feature_fields(self) -> Iterator["StoredField"]:
        """Yield one field where all features are numbers of one type, else one for each type."""
        numbers = [one for one in self.features if isinstance(one, NumberColumn)]
        words = [one for one in self.features if not isinstance(one, NumberColumn)]
        with_validity: list[Column] = [one for one in numbers if one.has_validity]
        by_dtype: dict[str, list[Column]] = {}
        for column in numbers:
            by_dtype.setdefault(column.dtype.name, []).append(column)
        if not words and not with_validity and len(by_dtype) == 1:
            yield StoredField(FEATURES, self.features)
            return
        for name, columns in by_dtype.items():
            yield StoredField(f"{FEATURES}_{name}", columns)
        if words:
            yield StoredField(f"{FEATURES}_words", words)
        if with_validity:
            yield StoredField(PRESENT, with_validity, is_validity=True)


@dataclass(frozen=True)
class StoredField:
    """A field of a record, and the columns whose values lie side by side in it.

    Attributes:
        name: name of the field.
        columns: the columns, in their order.
        is_validity: whether the field holds, in place of the values, whether they are there.
    """

    name: str
    columns: list[Column]
    is_validity: bool = False

    @property
    def dtype(self) -> np.dtype:
        """The type of the values, little-endian."""
        dtype = np.dtype(bool) if self.is_validity else _common_dtype(self.columns)
        return dtype.newbyteorder("<")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values of one row.

        A column that is alone in the field `features` or `target` keeps its shape, such as (12, 4);
        others lie side by side, (numbers,).
        """
        if self.name in (FEATURES, "target") and len(self.columns) == 1:
            (column,) = self.columns
            if len(column.shape) > 1:
                return column.shape
        return (sum(len(column.names) for column in self.columns),)

    def values(self, cells: Mapping[Column, Cells]) -> np.ndarray:
        """Return the values to write, (rows, numbers), for the cells of every column."""
        if self.is_validity:
            return np.concatenate([~cells[column].missing for column in self.columns], axis=1)
        return np.concatenate([column.encode(cells[column]) for column in self.columns], axis=1)


def _common_dtype(columns: list[Column]) -> np.dtype:
    return np.result_type(*(column.dtype for column in columns))


def _feature_column(settings: ResolvedImport, name: str) -> Column:
    if name in settings.categories:
        return CategoryFeature(name)
    if settings.dtypes.get(name) in TIME_TYPES:
        return TimeColumn(name, settings.dtypes[name])
    return NumberColumn(
        name,
        _declared_dtype(settings, name),
        rounds=settings.rounds(name),
        keeps_missing=settings.missing_policy(name) == "keep",
    )


def _target_columns(settings: ResolvedImport, types: Mapping[str, pa.DataType]) -> list[Column]:
    names = settings.target
    dtypes = [_target_dtype(settings, name, types.get(name)) for name in names]
    categories = [name for name in names if name in settings.categories]
    is_class = bool(categories) or np.result_type(*dtypes).kind in "iub"
    if not is_class:
        return [
            NumberColumn(name, dtype, rounds=settings.rounds(name))
            for name, dtype in zip(names, dtypes, strict=True)
        ]
    if len(names) > 1:
        raise UserError(
            f"target: found {listed(names)}; a category, or a target of an integer type, is a "
            "class, and a class is one column. Name one column, or give them the type float32."
        )
    return [_category_target(settings) if categories else ClassColumn(names[0], dtypes[0])]


def _category_target(settings: ResolvedImport) -> CategoryTarget:
    name = settings.target[0]
    declared = settings.declared_type(name)
    if declared not in (None, "int64"):
        raise UserError(
            f"dtypes: found {declared} for the target '{name}'; it is a category, whose classes "
            "are int64. Remove its type."
        )
    return CategoryTarget(name, np.dtype(np.int64))


def _target_dtype(settings: ResolvedImport, name: str, stored: pa.DataType | None) -> np.dtype:
    """Return the type of a target: the declared one, int64 for integers in the tables, float32."""
    is_whole = stored and (pa.types.is_integer(stored) or pa.types.is_boolean(stored))
    if is_whole and settings.declared_type(name) is None:
        return np.dtype(np.int64)
    return _declared_dtype(settings, name)


def _declared_dtype(settings: ResolvedImport, name: str) -> np.dtype:
    """Return the type of a column: its own, else that of its field, else float32."""
    return np.dtype(settings.declared_type(name) or "float32")
