"""The error of a value that a column cannot take."""


class RefusedValueError(Exception):
    """A value that a column cannot take.

    Attributes:
        reason: the problem and its remedy, as text that can follow the name of the column.
        row: row of the value in the array; None where the whole column is meant.
    """

    def __init__(self, reason: str, row: int | None = None):
        super().__init__(reason)
        self.reason = reason
        self.row = row
