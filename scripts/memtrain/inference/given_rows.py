"""Takes rows in the forms that users hold them in: tables of several libraries, dicts, arrays."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import did_you_mean, listed, shown
from memtrain.data.tables.numpy_files import to_arrow

#: Types of text that the importer does not meet in files, and the type that it takes for them.
_PLAIN_TEXT = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}


def columns_of(rows: Any) -> dict[str, pa.ChunkedArray] | None:
    """Return the columns of a table by their names; None for rows that are an array.

    Args:
        rows: a pandas DataFrame, a pyarrow Table or RecordBatch, any table that offers itself to
            Arrow, or a mapping of arrays by names. No library beside Arrow is imported.

    Raises:
        UserError: where a column has no type that Arrow knows, or two have the same name, or one
            has other rows than another.
    """
    names = _names(rows)
    if names is None:
        return None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"rows: more than one column is called '{twice[0]}'. Rename one.")
    problems: list[str] = []
    columns: dict[str, pa.ChunkedArray] = {}
    for name, values in zip(names, _values(rows), strict=True):
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            problems.append(
                f"rows, column '{name}': found {shown(values)}, which is a single value. Give a "
                "list with a value for each row."
            )
            continue
        try:
            columns[name] = _as_column(values)
        except (pa.ArrowException, ArithmeticError, TypeError, ValueError, UserError) as error:
            problems.append(
                f"rows, column '{name}': Arrow cannot read it ({str(error).splitlines()[0]}). Give "
                "it one type: numbers, text, dates or times."
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        problems.append(
            "rows: the columns have different numbers of rows "
            f"({listed(f'{name}: {rows:,}' for name, rows in lengths.items())})."
        )
    raise_problems(problems)
    return columns


def check_names(found: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a table that lacks a column, or has one that nobody knows.

    Args:
        found: names of its columns.
        needed: names of the columns that the model needs.
        known: names of columns that may stand in it as well: the target's.

    Raises:
        UserError: with every such column.
    """
    problems = [
        f"rows: there is no column '{name}'.{did_you_mean(name, found)} The columns are "
        f"{listed(found) or 'none'}."
        for name in needed
        if name not in found
    ]
    problems += [
        f"rows: the model does not know the column '{name}'.{did_you_mean(name, needed)} Leave it "
        f"out; its columns are {listed(needed)}."
        for name in found
        if name not in needed and name not in known
    ]
    raise_problems(problems)


def as_array(rows: Any) -> np.ndarray:
    """Return rows that are no table as an array.

    Raises:
        UserError: where they are none.
    """
    array = np.asarray(rows)
    if not array.ndim or array.dtype.kind not in "fiubV":
        raise UserError(
            f"rows: found {shown(rows)}. Give a pandas DataFrame, a pyarrow Table, a dict of "
            "arrays by column, or an array of features, (rows, ...)."
        )
    return array


def _names(rows: Any) -> list[str] | None:
    if isinstance(rows, pa.Table | pa.RecordBatch):
        return list(rows.schema.names)
    if isinstance(rows, Mapping) or _is_data_frame(rows):
        return [str(name) for name in rows]
    if hasattr(rows, "__arrow_c_stream__"):
        # A single column, such as a row that was taken out of a DataFrame, is no table.
        with suppress(pa.ArrowException, TypeError, ValueError):
            return list(pa.table(rows).schema.names)
    return None


def _is_data_frame(rows: Any) -> bool:
    """Return whether rows are a DataFrame of pandas, or of a library like it."""
    return hasattr(rows, "iloc") and getattr(rows, "ndim", 2) == 2


def _values(rows: Any) -> list[Any]:
    if isinstance(rows, pa.Table | pa.RecordBatch):
        return list(rows.columns)
    if isinstance(rows, Mapping):
        return list(rows.values())
    if _is_data_frame(rows):  # Its own way to Arrow adds the index as a column.
        return [rows.iloc[:, place] for place in range(rows.shape[1])]
    return list(pa.table(rows).columns)


def _as_column(values: Any) -> pa.ChunkedArray:
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else _to_arrow(values)
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    return chunked.cast(_PLAIN_TEXT.get(chunked.type, chunked.type))


def _to_arrow(values: Any) -> pa.Array | pa.ChunkedArray:
    if not isinstance(values, np.ndarray):
        return pa.array(values, from_pandas=True)
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return to_arrow("it", native) if native.ndim > 1 else pa.array(native, from_pandas=True)
