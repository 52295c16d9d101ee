"""The columns that the settings of an import choose, as features and target."""

from dataclasses import dataclass

import numpy as np

from memtrain.config.dataset import ResolvedImport
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.record_file import record_dtype
from memtrain.data.tables.columns import (
    CategoryFeature,
    CategoryTarget,
    ClassColumn,
    Column,
    NumberColumn,
)


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
    def from_settings(cls, settings: ResolvedImport) -> "ChosenColumns":
        """Return the columns that settings choose.

        Raises:
            UserError: where the target is a class but has several columns, or is a category but
                has a type other than int64.
        """
        columns = cls(
            features=[_feature_column(settings, name) for name in settings.features],
            target=_target_columns(settings),
        )
        for field in columns.fields.values():
            for column in field:
                if isinstance(column, NumberColumn):
                    column.stored = _common_dtype(field)
        return columns

    @property
    def all(self) -> list[Column]:
        """Features, then target."""
        return [*self.features, *self.target]

    @property
    def fields(self) -> dict[str, list[Column]]:
        """The columns that make each field of a record, by the field's name."""
        return {"features": self.features, "target": self.target}

    @property
    def dtype(self) -> np.dtype:
        """The dtype of one record; its widths are known once all rows have been read."""
        return record_dtype(**{name: _field(columns) for name, columns in self.fields.items()})


def _field(columns: list[Column]) -> tuple[str, tuple[int, ...]]:
    """Return the type and the shape of the field that some columns make together.

    A column alone keeps its shape, such as (12, 4); several lie side by side, (numbers,).
    """
    dtype = _common_dtype(columns)
    shape: tuple[int, ...] = (sum(len(column.names) for column in columns),)
    if len(columns) == 1 and len(columns[0].shape) > 1:
        shape = columns[0].shape
    return dtype.newbyteorder("<").str, shape


def _common_dtype(columns: list[Column]) -> np.dtype:
    return np.result_type(*(column.dtype for column in columns))


def _feature_column(settings: ResolvedImport, name: str) -> Column:
    dtype = _declared_dtype(settings, name, "features")
    if name in settings.categories:
        return CategoryFeature(name, dtype)
    return NumberColumn(name, dtype, rounds=settings.rounds(name))


def _target_columns(settings: ResolvedImport) -> list[Column]:
    names = settings.target
    dtypes = [_declared_dtype(settings, name, "target") for name in names]
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
    declared = settings.dtypes.get(name, settings.dtypes.get("target", "int64"))
    if declared != "int64":
        raise UserError(
            f"dtypes: found {declared} for the target '{name}'; it is a category, whose classes "
            "are int64. Remove its type."
        )
    return CategoryTarget(name, np.dtype(np.int64))


def _declared_dtype(settings: ResolvedImport, name: str, field: str) -> np.dtype:
    """Return the type of a column: its own, else that of its field, else float32."""
    return np.dtype(settings.dtypes.get(name, settings.dtypes.get(field, "float32")))
