"""What the features of a training are: learned from its training rows, and from no other.

The rows are read once for the words of the categories, once for the statistics of the features, and
a few times more for medians. Memory does not grow with the rows. Splits that train on the same rows
share what was found.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from memtrain.components.encoder import Encoder
from memtrain.components.time_parts import names_of_part
from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.ranges import Range
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.field_statistics import FieldStatistics, merge_all
from memtrain.data.layouts import RowLayout
from memtrain.data.number_types import as_numpy_numbers
from memtrain.data.row_chunks import read_chunks, values_of_chunk
from memtrain.data.source import FEATURES, Source, SourceColumn
from memtrain.planning.category_encoding import (
    encoded_category,
    fill_of,
    has_indicator,
    one_hot_names,
)
from memtrain.planning.column_fills import medians, most_frequent
from memtrain.recipes.encoding import EncodedColumn, Encoding

#: Code of a missing word in a data file.
_MISSING_WORD = 0

#: Parts of statistics that are kept before they are merged.
_MOST_PARTS = 1024


@dataclass(frozen=True)
class LearnedFeatures:
    """The features of a training.

    Attributes:
        names: the name of every feature.
        columns: the column of the tables that every feature comes from.
        encoding: how they come from the fields of a record; None where one field holds them.
        statistics: their statistics over the training rows.
        fills: what takes the place of a missing value of each feature, None for nothing; empty
            where nothing is filled.
    """

    names: list[str]
    columns: list[str]
    encoding: Encoding | None
    statistics: FieldStatistics
    fills: list[float | None]


class FeatureLearner:
    """Learns the features of trainings from the rows of one data file.

    Args:
        data: the data file.
        layout: layout of its rows.
        source: source of its rows.
    """

    def __init__(self, data: str | os.PathLike, layout: RowLayout, source: Source):
        self._data = data
        self._layout = layout
        self._columns = source.feature_columns or [
            SourceColumn(name, "number", FEATURES, number, [], "float32", [name])
            for number, name in enumerate(source.features)
        ]
        self._names = source.features
        self._words: dict[tuple[Range, ...], dict[str, Counter[int]]] = {}
        self._statistics: dict[tuple[str, tuple[Range, ...]], FieldStatistics] = {}
        self._fills: dict[tuple, float] = {}

    def learn(
        self,
        where: str,
        settings: TrainingSettings,
        ranges: Sequence[Range],
        stored: Mapping[str, FieldStatistics],
    ) -> LearnedFeatures:
        """Return the features of a training.

        Args:
            where: key of the split, for messages.
            settings: settings of the training.
            ranges: the training rows.
            stored: statistics of the fields over the training rows.

        Raises:
            UserError: where settings name columns that there are not, or ask for what cannot be
                learned from these rows.
        """
        raise_problems(self._unknown_names(where, settings))
        rows = tuple(ranges)
        encoding = self._encoding(where, settings, rows)
        if encoding is None:
            names, columns = self._names, [one.name for one in self._columns for _ in one.names]
            statistics = stored[FEATURES].spread(len(names))
        else:
            names, columns = self._encoded_names(encoding, rows)
            statistics = self._encoded_statistics(encoding, rows)
        learned = LearnedFeatures(names, columns, encoding, statistics, [])
        found = self._filled(where, settings, learned, rows)
        fills = [found.get(place) for place in range(len(names))] if found else []
        return LearnedFeatures(names, columns, encoding, statistics, fills)

    def unknown_words(self, encoding: Encoding | None, ranges: Sequence[Range]) -> dict[str, int]:
        """Return how many rows have a word that the training rows lack, by column.

        Args:
            encoding: the encoding of a training.
            ranges: the evaluation rows.
        """
        columns = [one for one in encoding.columns if one.size] if encoding else []
        if not columns:
            return {}
        found = self._counts(tuple(ranges))
        unknown = {
            one.column: sum(
                count
                for code, count in found[one.column].items()
                if code != _MISSING_WORD and code not in set(one.codes)
            )
            for one in columns
        }
        return {name: count for name, count in unknown.items() if count}

    def _unknown_names(self, where: str, settings: TrainingSettings) -> Iterator[str]:
        known = list(dict.fromkeys([one.name for one in self._columns] + list(self._names)))
        kinds = {one.name: one.kind for one in self._columns if one.kind != "number"}
        impute = settings.impute if isinstance(settings.impute, dict) else {}
        for name in impute:
            if name not in known:
                yield (
                    f"{where}: training.impute names {name}, which is no feature."
                    f"{did_you_mean(name, known)} The features are {listed(known)}."
                )
        for name, how in settings.encode.items():
            if name not in kinds:
                yield (
                    f"{where}: training.encode names {name}, which is no category or time among "
                    f"the features.{did_you_mean(name, list(kinds))} "
                    + (f"These are {listed(kinds)}." if kinds else "There are none.")
                )
            elif isinstance(how, list) != (kinds[name] == "time"):
                right = {"time": "a list such as [elapsed, month]", "category": "one_hot or codes"}
                yield (
                    f"{where}: training.encode has "
                    f"{listed(how) if isinstance(how, list) else how.name} for {name}, which is a "
                    f"{kinds[name]}. Use {right[kinds[name]]}."
                )
        yield from self._unfitting_fills(where, settings)

    def _unfitting_fills(self, where: str, settings: TrainingSettings) -> Iterator[str]:
        for one in self._columns:
            fill = fill_of(settings, one.name)
            is_word = one.kind == "category"
            named = isinstance(settings.impute, dict) and one.name in settings.impute
            if fill is None or not named:
                continue
            if is_word and fill.with_ not in ("category", "most_frequent"):
                yield (
                    f"{where}: training.impute has {fill.with_} for {one.name}, which is a "
                    "category. Use category or most_frequent."
                )
            if not is_word and fill.with_ == "category":
                yield (
                    f"{where}: training.impute has category for {one.name}, which is a number. Use "
                    "mean, median, most_frequent or a number."
                )

    def _encoding(
        self, where: str, settings: TrainingSettings, rows: tuple[Range, ...]
    ) -> Encoding | None:
        """Return how features come from the fields; None where one field holds them as they are."""
        shows_missing = any(has_indicator(settings, one) for one in self._columns)
        if FEATURES in self._layout.fields and not shows_missing and not settings.encode:
            return None
        problems: list[str] = []
        columns = []
        for one in self._columns:
            if one.kind != "category":
                columns.append(self._numbers(settings, one))
            else:
                try:
                    columns.append(
                        encoded_category(where, settings, one, self._counts(rows)[one.name])
                    )
                except UserError as error:
                    problems.extend(error.problems)
        raise_problems(problems)
        return Encoding(dtype=_dtype_of_features(columns, self._columns), columns=columns)

    def _numbers(self, settings: TrainingSettings, column: SourceColumn) -> EncodedColumn:
        parts = settings.encode.get(column.name)
        return EncodedColumn(
            column=column.name,
            kind="times" if isinstance(parts, list) else "numbers",
            parts=parts if isinstance(parts, list) else [],
            field=column.field,
            start=column.position,
            width=len(column.names),
            present=column.present,
            indicator=has_indicator(settings, column),
        )

    def _encoded_names(
        self, encoding: Encoding, rows: tuple[Range, ...]
    ) -> tuple[list[str], list[str]]:
        """Return the name of every feature, and the column that it comes from."""
        names: list[str] = []
        columns: list[str] = []
        for encoded, column in zip(encoding.columns, self._columns, strict=True):
            own = column.names
            if encoded.kind == "one_hot":
                own = one_hot_names(encoded, column)
            elif encoded.kind == "times":
                own = [name for part in encoded.parts for name in names_of_part(column.name, part)]
            indicators = [f"{name}_is_missing" for name in column.names]
            names += [*own, *(indicators if encoded.indicator else [])]
            columns += [column.name] * encoded.features
        return names, columns

    def _counts(self, rows: tuple[Range, ...]) -> dict[str, Counter[int]]:
        """Return how often every code of every category occurs in some rows."""
        if rows not in self._words:
            categories = [one for one in self._columns if one.kind == "category"]
            counts: dict[str, Counter[int]] = {one.name: Counter() for one in categories}
            for fields in self._chunks(rows) if categories else ():
                for one in categories:
                    codes, often = np.unique(fields[one.field][:, one.position], return_counts=True)
                    found = zip(codes.tolist(), often.tolist(), strict=True)
                    counts[one.name].update(dict(found))
            self._words[rows] = counts
        return self._words[rows]

    def _encoded_statistics(self, encoding: Encoding, rows: tuple[Range, ...]) -> FieldStatistics:
        key = (encoding.model_dump_json(), rows)
        if key not in self._statistics:
            parts: list[FieldStatistics] = []
            for features in self._features(encoding, rows):
                parts.append(FieldStatistics.from_rows(features))
                if len(parts) == _MOST_PARTS:
                    parts = [merge_all(parts)]
            self._statistics[key] = merge_all(parts)
        return self._statistics[key]

    def _filled(
        self,
        where: str,
        settings: TrainingSettings,
        learned: LearnedFeatures,
        rows: tuple[Range, ...],
    ) -> dict[int, float]:
        """Return what takes the place of the missing numbers of every feature.

        Raises:
            UserError: where a column has no value in the training rows to learn from.
        """
        wanted: dict[int, str | float] = {}
        for place in _fillable(learned):
            fill = fill_of(settings, learned.names[place], learned.columns[place])
            if fill is not None and fill.with_ != "category":
                wanted[place] = fill.with_
        empty = [
            learned.names[place]
            for place, how in wanted.items()
            if isinstance(how, str) and not learned.statistics.count[place]
        ]
        if empty:
            raise UserError(
                f"{where}: training.impute puts the {wanted[learned.names.index(empty[0])]} of "
                f"{listed(empty)} in the place of missing values, and the training rows hold no "
                "value to take it from. Give a number for it under `impute`, or leave the column "
                "out."
            )
        found = {
            place: float(learned.statistics.mean[place]) if how == "mean" else float(how)
            for place, how in wanted.items()
            if how == "mean" or not isinstance(how, str)
        }
        for how, function in (("median", medians), ("most_frequent", most_frequent)):
            places = [place for place, one in wanted.items() if one == how]
            found |= self._counted(where, how, function, places, learned, rows)
        return found

    def _counted(self, where, how, function, places, learned, rows) -> dict[int, float]:
        """Return the values of some features that counting passes over the rows find."""
        if not places:
            return {}
        encoding = learned.encoding
        text = encoding.model_dump_json() if encoding else ""
        wanted = [place for place in places if (how, text, rows, place) not in self._fills]
        if wanted:

            def values() -> Iterator[np.ndarray]:
                for features in self._features(encoding, rows):
                    yield features[:, wanted].astype(np.float64)

            names = [f"{where}: {learned.names[place]}" for place in wanted]
            for place, value in zip(wanted, function(values, names), strict=True):
                self._fills[how, text, rows, place] = value
        return {place: self._fills[how, text, rows, place] for place in places}

    def _features(self, encoding: Encoding | None, rows: tuple[Range, ...]) -> Iterator[np.ndarray]:
        """Yield the features of some rows, (rows of a chunk, features)."""
        encoder = Encoder(encoding) if encoding else None
        for fields in self._chunks(rows):
            if encoder is None:
                features = as_numpy_numbers(fields[FEATURES])
                yield features.reshape(len(features), -1)
            else:
                yield encoder.encode(
                    {name: one for name, one in fields.items() if name.startswith(FEATURES)}
                )

    def _chunks(self, rows: tuple[Range, ...]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the values of every field of some rows; see ``values_of_chunk``."""
        for one in rows:
            for chunk in read_chunks(self._data, self._layout, one):
                yield values_of_chunk(chunk, self._layout)


def _fillable(learned: LearnedFeatures) -> list[int]:
    """Return the positions of the features that may be missing: numbers of the tables."""
    if learned.encoding is None:
        return list(range(len(learned.names)))
    places: list[int] = []
    start = 0
    for column in learned.encoding.columns:
        if column.kind in ("numbers", "times"):
            places += range(start, start + column.own_features)
        start += column.features
    return places


def _dtype_of_features(columns: Sequence[EncodedColumn], stored: Sequence[SourceColumn]) -> str:
    """Return the type that holds all features.

    Integers where all features are integers or codes; else float32, or float64 where a column has
    that type, or integers that float32 may not hold.
    """
    types = [np.dtype(one.dtype) for one in stored if one.kind != "category"]
    whole = all(one.kind in "iub" for one in types)
    if whole and not any(one.kind == "one_hot" or one.present is not None for one in columns):
        codes = [np.dtype(np.int64)] if any(one.kind == "codes" for one in columns) else []
        return np.result_type(*types, *codes).name
    return np.result_type(np.float32, *types).name
