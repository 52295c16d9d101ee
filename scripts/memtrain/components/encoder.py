"""Turns the fields of a record into the features that a model sees, as the recipe says.

A column of numbers is copied, a missing one is NaN. A word, which the data file holds as a code of
64 bits, becomes a one-hot or a number of its own. A time becomes seconds or places in a cycle.
"""

from dataclasses import dataclass

import numpy as np

from memtrain.components.time_parts import values_of_part
from memtrain.components.transforms import Row
from memtrain.data.source import FEATURES, PRESENT
from memtrain.recipes.encoding import EncodedColumn, Encoding


@dataclass
class _Run:
    """Numbers that lie side by side in a field and in the features, and are copied together."""

    field: str
    start: int
    place: int
    width: int


class Encoder:
    """Builds ``row["features"]`` from the fields of a record, and removes these fields.

    Args:
        encoding: what becomes of every column.
    """

    batched = row_wise = True

    def __init__(self, encoding: Encoding):
        self._dtype = np.dtype(encoding.dtype)
        self._runs: list[_Run] = []
        self._words: list[_Words] = []
        self._times: list[tuple[EncodedColumn, int]] = []
        self._gaps: list[tuple[int, int, int]] = []
        self._indicators: list[tuple[EncodedColumn, int]] = []
        place = 0
        for column in encoding.columns:
            if column.kind == "numbers":
                self._add_numbers(column, place)
            elif column.kind == "times":
                self._times.append((column, place))
            else:
                self._words.append(_Words(column, place))
            if column.indicator:
                own = column.features - column.width
                self._indicators.append((column, place + own))
            place += column.features
        self._width = place

    def _add_numbers(self, column: EncodedColumn, place: int) -> None:
        last = self._runs[-1] if self._runs else None
        if (
            last is not None
            and last.field == column.field
            and last.start + last.width == column.start
            and last.place + last.width == place
        ):
            last.width += column.width
        else:
            self._runs.append(_Run(column.field, column.start, place, column.width))
        if column.present is not None:
            self._gaps.append((column.present, place, column.width))

    def __call__(self, row: Row) -> Row:
        """Return the row or batch with features, (features,) or (rows, features)."""
        kept = {name: values for name, values in row.items() if not _is_raw(name)}
        fields = {name: values for name, values in row.items() if _is_raw(name)}
        if next(iter(fields.values())).ndim == 1:
            batch = {name: values[np.newaxis] for name, values in fields.items()}
            return {FEATURES: self.encode(batch)[0], **kept}
        return {FEATURES: self.encode(fields), **kept}

    def encode(self, fields: Row) -> np.ndarray:
        """Return the features of some rows, (rows, features).

        Args:
            fields: the fields of the features, each (rows, values).
        """
        fields = {name: values.reshape(len(values), -1) for name, values in fields.items()}
        rows = len(next(iter(fields.values())))
        features = np.empty((rows, self._width), self._dtype)
        for run in self._runs:
            values = fields[run.field][:, run.start : run.start + run.width]
            features[:, run.place : run.place + run.width] = values
        for start, place, width in self._gaps:
            absent = ~fields[PRESENT][:, start : start + width]
            features[:, place : place + width][absent] = np.nan
        for column, place in self._times:
            seconds = fields[column.field][:, column.start]
            parts = [values_of_part(seconds, part) for part in column.parts]
            features[:, place : place + column.own_features] = np.concatenate(parts, axis=1)
        for words in self._words:
            words.encode(fields, features)
        for column, place in self._indicators:
            features[:, place : place + column.width] = _missing(column, fields)
        return features


class _Words:
    """A column of codes of words.

    Args:
        column: what becomes of it.
        place: its first feature.
    """

    def __init__(self, column: EncodedColumn, place: int):
        self._column = column
        self._place = place
        order = np.argsort(np.array(column.codes, np.int64))
        self._codes = np.array(column.codes, np.int64)[order]
        nothing = -1 if column.kind == "one_hot" else 0
        self._unknown = nothing
        self._missing = nothing if column.missing is None else column.missing
        self._places = np.array(column.places, np.int64)[order]

    def encode(self, fields: Row, features: np.ndarray) -> None:
        """Write the features of the column, for all rows."""
        column, start = self._column, self._place
        codes = fields[column.field][:, column.start]
        places = self.places(codes)
        if column.kind == "codes":
            features[:, start] = places
            return
        features[:, start : start + column.size] = 0
        known = np.flatnonzero(places >= 0)
        features[known, start + places[known]] = 1

    def places(self, codes: np.ndarray) -> np.ndarray:
        """Return the place of every code, int64 (rows,); of an unknown word, that of none."""
        if len(self._codes):
            at = np.searchsorted(self._codes, codes)
            at[at == len(self._codes)] = 0
            places = np.where(self._codes[at] == codes, self._places[at], self._unknown)
        else:
            places = np.full(len(codes), self._unknown)
        places[codes == 0] = self._missing
        return places


def _missing(column: EncodedColumn, fields: Row) -> np.ndarray:
    """Return which values of a column are missing, booleans (rows, width)."""
    if column.present is not None:
        return ~fields[PRESENT][:, column.present : column.present + column.width]
    values = fields[column.field][:, column.start : column.start + column.width]
    return np.isnan(values) if values.dtype.kind == "f" else values == 0


def _is_raw(field: str) -> bool:
    return field == FEATURES or field.startswith(f"{FEATURES}_")
