"""Which rows hold values of other rows, because a mean took the place of a missing value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.row_numbers import ranges_of_rows
from memtrain.core.wording import counted, listed
from memtrain.data.record_file import read_layout
from memtrain.data.row_chunks import read_chunks
from memtrain.data.source import Source


@dataclass(frozen=True)
class Imputation:
    """What an import put in the place of missing values.

    Attributes:
        columns: number of missing values that a mean replaced, by the name of the column.
        rows: the rows that may hold such a mean; also a row whose own value is the mean.
    """

    columns: Mapping[str, int] = field(default_factory=dict)
    rows: Sequence[Range] = ()

    def describe(self) -> str:
        """Return the means in words: "the means of a (1 missing value)"."""
        columns = (
            f"{name} ({counted(count, 'missing value')})" for name, count in self.columns.items()
        )
        return f"the means of {listed(columns)}"


def find_imputation(results: ResultsLayout) -> Imputation:
    """Return what the import of a dataset put in the place of missing values.

    The data file is read once if there were any: the rows are those that have the mean.
    """
    try:
        source = Source.read(results.source)
    except UserError:
        return Imputation()
    columns = source.origin.get("imputed") or {}
    means = source.origin.get("means") or {}
    if not columns or not means:
        return Imputation()
    layout = read_layout(results.data)
    positions = [source.features.index(name) for name in means]
    values = np.array(list(means.values()), layout.fields["features"].base)
    rows: list[np.ndarray] = []
    start = 0
    for chunk in read_chunks(results.data, layout, Range(0, layout.rows)):
        has_mean = (chunk["features"][:, positions] == values).any(axis=1)
        rows.append(start + np.flatnonzero(has_mean))
        start += len(chunk)
    return Imputation(columns, ranges_of_rows(np.concatenate([np.empty(0, np.int64), *rows])))
