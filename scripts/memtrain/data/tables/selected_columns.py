"""Looks up in the files which columns the settings of an import select.

Everything behind this knows names alone: features and target by name, in the order in which they
are written, and settings by column under these names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa

from memtrain.config.dataset import ImportSettings, ResolvedImport
from memtrain.config.selections import (
    AllBut,
    OfType,
    is_pattern,
    plain_names,
    positions_of,
    selection_text,
)
from memtrain.core.errors import raise_problems
from memtrain.core.wording import did_you_mean, listed
from memtrain.data.tables.column_kinds import Kind, kind_of_type, kinds_of_text
from memtrain.data.tables.table import Table

_Selection = str | OfType | AllBut

#: Kinds of columns by the word that selects them.
_KINDS: dict[str, set[Kind]] = {
    "number": {"integer", "number"},
    "text": {"text"},
    "boolean": {"boolean"},
    "time": {"date", "time"},
}


def resolve_columns(settings: ImportSettings, tables: Sequence[Table]) -> ResolvedImport:
    """Return the settings of an import with the names of the columns that they select.

    Args:
        settings: the settings.
        tables: the tables, of which there is at least one.

    Raises:
        UserError: with everything that selects no column, a column twice, or other columns in one
            table than in another.
    """
    lookup = _Lookup(settings, tables)
    target = lookup.field("target", settings.target, set())
    features = lookup.field("features", settings.features, set(target))
    for name in sorted(set(plain_names(settings.features)) & set(target)):
        if tables[0].sides is None:
            lookup.problems.append(f"features and target: both name the column '{name}'.")
    chosen = [*features, *target]
    resolved: dict[str, Any] = {
        "features": features or ["-"],
        "target": target or ["-"],
        "categories": lookup.categories(chosen),
        "dtypes": lookup.by_column("dtypes", settings.dtypes, chosen),
    }
    resolved["dtypes"] |= _types_of_times(tables, features, resolved)
    for key in ("inexact", "missing"):
        given = getattr(settings, key)
        if isinstance(given, dict):
            resolved[key] = lookup.by_column(key, given, chosen)
    lookup.check_null_values()
    raise_problems([*dict.fromkeys(lookup.problems), *absent_columns(tables, chosen)])
    return ResolvedImport.model_validate(settings.model_dump() | resolved)


def _types_of_times(
    tables: Sequence[Table], features: Sequence[str], resolved: Mapping[str, Any]
) -> dict[str, str]:
    """Return the types of features that are dates or times in all files, and have no type else."""
    tests = {
        "date": pa.types.is_date,
        "timestamp": pa.types.is_timestamp,
        "time": pa.types.is_time,
        "duration": pa.types.is_duration,
    }
    given = {*resolved["categories"], *resolved["dtypes"]}
    return {
        name: word
        for name in features
        if name not in given
        for word, test in tests.items()
        if all(test(table.types.get(name, pa.null())) for table in tables)
    }


@dataclass
class _Lookup:
    """Looks up selections in the tables, and collects what is wrong with them.

    Args:
        settings: the settings of the import.
        tables: the tables.
    """

    settings: ImportSettings
    tables: Sequence[Table]

    def __post_init__(self) -> None:
        self.problems: list[str] = []
        self._kinds: list[Mapping[str, Kind]] | None = None

    def field(self, field: str, selections: Sequence[_Selection], taken: set[str]) -> list[str]:
        """Return the names of the columns of a field, in their order.

        Args:
            field: "features" or "target".
            selections: what selects them.
            taken: columns that only a name may select.
        """
        first = self.tables[0].side(field)
        names: list[str] = []
        for selection in selections:
            found = self._found(selection, field, 0)
            is_name = isinstance(selection, str) and selection in first
            new = [name for name in found if is_name or name not in taken]
            if not new and _is_name(selection) and self.tables[0].sides is None:
                new = [str(selection)]  # Told with the others that some table lacks.
            if not new:
                self.problems.append(self._nothing(field, selection, list(first)))
            self._compare_tables(field, selection, found)
            names += [name for name in new if name not in names]
        twice = [name for name in plain_names(selections) if list(selections).count(name) > 1]
        for name in dict.fromkeys(twice):
            self.problems.append(f"{field}: the column '{name}' is named twice.")
        return names

    def categories(self, chosen: Sequence[str]) -> list[str]:
        """Return the names of the columns that are categories, among those that are chosen."""
        found: list[str] = []
        for selection in self.settings.categories:
            found += self._among("categories", selection, chosen)
        return list(dict.fromkeys(found))

    def by_column(
        self, key: str, given: Mapping[str, Any], chosen: Sequence[str]
    ) -> dict[str, Any]:
        """Return a setting by the names of columns; a name goes before a pattern.

        Args:
            key: the key of the setting.
            given: its values, by names, patterns, positions, or fields where the key has them.
            chosen: the columns that are chosen.
        """
        fields = ("features", "target") if key in ("dtypes", "missing") else ()
        resolved = {
            name: value for name, value in given.items() if name in chosen or name in fields
        }
        groups = {one: value for one, value in given.items() if one not in resolved}
        by_group: dict[str, str] = {}
        for selection, value in groups.items():
            for name in self._among(key, selection, chosen, fields):
                if name not in given:
                    other = by_group.setdefault(name, selection)
                    if given[other] != value:
                        self.problems.append(
                            f"{key}: column '{name}' is meant by '{other}' ({given[other]}) and by "
                            f"'{selection}' ({value}). Name it itself, with the one that holds."
                        )
                    resolved[name] = given[other]
        return resolved

    def check_null_values(self) -> None:
        """Note the keys of `csv: null_values` that no table has as a column."""
        null_values = self.settings.csv.null_values
        if isinstance(null_values, dict):
            columns = {name: None for table in self.tables for name in table.columns}
            for key in null_values:
                if not any(key == name or fnmatchcase(name, key) for name in columns):
                    self.problems.append(self._nothing("csv.null_values", key, list(columns)))

    def _among(
        self, key: str, selection: _Selection, chosen: Sequence[str], fields: Sequence[str] = ()
    ) -> list[str]:
        """Return the columns that a selection means, among those that are chosen."""
        if isinstance(selection, str) and selection in chosen:
            return [selection]
        table = {name: name for name in self.tables[0].columns}
        found = [name for name in self._select(selection, table, 0) if name in chosen]
        if not found:
            known = [*chosen, *fields]
            self.problems.append(
                f"{key} names {selection_text(selection)}, which is not among features and target."
                f"{did_you_mean(selection, known)}"
            )
        return found

    def _found(self, selection: _Selection, field: str, table: int) -> list[str]:
        return self._select(selection, self.tables[table].side(field), table)

    def _select(self, selection: _Selection, names: Mapping[str, str], table: int) -> list[str]:
        """Return what a selection means among some columns: their names by those in the file."""
        if isinstance(selection, AllBut):
            left_out = {
                name for one in selection.all_but for name in self._select(one, names, table)
            }
            for one in selection.all_but:
                if table == 0 and not self._select(one, names, table):
                    self.problems.append(self._nothing("all_but", one, list(names)))
            return [name for name in names.values() if name not in left_out]
        if isinstance(selection, OfType):
            kinds, wanted = self._kinds_of(table), _KINDS[selection.type]
            return [name for name in names.values() if kinds.get(name) in wanted]
        if selection in names:
            return [names[selection]]
        places = positions_of(selection)
        if places is not None:
            return list(names.values())[places]
        if not is_pattern(selection):
            return []
        return [name for own, name in names.items() if fnmatchcase(own, selection)]

    def _kinds_of(self, table: int) -> Mapping[str, Kind]:
        """Return what the columns of a table hold; text files are read for it, all together."""
        if self._kinds is None:
            text = kinds_of_text(self.tables)
            self._kinds = [
                {
                    name: text.get(name, "text") if pa.types.is_binary(kind) else kind_of_type(kind)
                    for name, kind in one.types.items()
                }
                for one in self.tables
            ]
        return self._kinds[table]

    def _compare_tables(self, field: str, selection: _Selection, found: list[str]) -> None:
        """Note the first table where a selection that is no name means other columns."""
        if isinstance(selection, str):
            is_name = selection in self.tables[0].side(field)
            if is_name or not is_pattern(selection):
                return
        seen: set[tuple[str, ...]] = {tuple(self.tables[0].columns)}
        for number, table in enumerate(self.tables):
            if tuple(table.columns) in seen and not isinstance(selection, OfType):
                continue
            seen.add(tuple(table.columns))
            other = self._found(selection, field, number)
            differing = sorted(set(other) ^ set(found))
            if differing:
                self.problems.append(
                    f"{field}: {selection_text(selection)} means other columns in {table.name} "
                    f"than in {self.tables[0].name}: {listed(differing)}. Name the columns, or "
                    "import the files apart."
                )
                return

    def _nothing(self, key: str, selection: _Selection, names: list[str]) -> str:
        table = self.tables[0]
        if isinstance(selection, str) and table.columns.count(selection) > 1:
            return f"{table.name}: more than one column is called '{selection}'. Rename one."
        what = "there is no column" if _is_name(selection) else "no column is meant by"
        shown = f"'{selection}'" if isinstance(selection, str) else selection_text(selection)
        return (
            f"{table.name}: {what} {shown} ({key}).{did_you_mean(selection, names)} The columns "
            f"are {listed(names)}.{table.hint}"
        )


def _is_name(selection: _Selection) -> bool:
    return isinstance(selection, str) and bool(plain_names([selection]))


def absent_columns(tables: Sequence[Table], names: Sequence[str]) -> Iterator[str]:
    """Yield a problem for every column that a table lacks, or has twice."""
    for name in names:
        lacking = [table for table in tables if table.columns.count(name) != 1]
        if not lacking:
            continue
        table = lacking[0]
        more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        if name in table.columns:
            yield f"{table.name}: more than one column is called '{name}'. Rename one."
        else:
            yield (
                f"{table.name}{more}: there is no column '{name}'."
                f"{did_you_mean(name, table.columns)} The columns are "
                f"{listed(table.columns) or 'none'}.{table.hint}"
            )
