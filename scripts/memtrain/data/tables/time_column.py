"""The column of a table that holds dates, times or durations."""

import numpy as np
import pyarrow as pa

from memtrain.data.tables.cell_values import NumberCells, as_text
from memtrain.data.tables.columns import NumberColumn
from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.time_cells import parse_times, seconds_of_times


class TimeColumn(NumberColumn):
    """A feature of dates, times or durations, in seconds; of an instant, those since 1970.

    Args:
        name: name of the column in the tables.
        kind: "date" or "timestamp", as text spells them; "time" or "duration".
    """

    def __init__(self, name: str, kind: str):
        super().__init__(name, np.dtype(np.float64))
        self._kind = kind
        #: Whether the seconds have a place in the calendar.
        self.is_instant = kind != "duration"

    def read(self, array: pa.Array) -> NumberCells:
        """Return the seconds of an array of dates, times, or text that spells them.

        Raises:
            RefusedValueError: for the first text that is no date or time, and for other types.
        """
        is_text = pa.types.is_binary(array.type) or pa.types.is_string(array.type)
        if is_text and self._kind in ("date", "timestamp"):
            array = parse_times(as_text(array), self._kind)
        if not pa.types.is_temporal(array.type):
            raise RefusedValueError(
                f"it is of the type {array.type}, and `dtypes` calls it a {self._kind}. Give it "
                "another type there."
            )
        return super().read(seconds_of_times(array))
