"""How the numbers of a text file are spelled: the decimal sign, and signs between digits."""

# pyarrow.compute makes its functions when it is imported, so that pyright sees none of them:
# pyright: reportAttributeAccessIssue=false

import re
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute

from memtrain.data.tables.refused_value import RefusedValueError

#: Spaces that break no line, which stand between groups of digits as well.
_OTHER_SPACES = ("\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}")


@dataclass(frozen=True)
class CellSpelling:
    """How numbers are spelled in the cells of a table.

    Attributes:
        decimal: the decimal sign, "." or ",".
        thousands: the sign between groups of three digits; None for none.
    """

    decimal: str = "."
    thousands: str | None = None

    def plain(self, cells: pa.Array) -> pa.Array:
        """Return cells with numbers as 1234.5, in the place of 1.234,5 for example.

        Args:
            cells: the cells of a column of numbers, of any type; only text is changed.

        Raises:
            RefusedValueError: for the first cell that has a decimal point where the sign is another
                one, or signs between other groups than three digits.
        """
        if self == PLAIN or not pa.types.is_binary(cells.type):
            return cells
        try:
            text = cells.cast(pa.string())
        except pa.ArrowInvalid:
            return cells  # Whoever reads the column names the cell that is no text.
        if self.thousands == " ":
            for space in _OTHER_SPACES:
                text = compute.replace_substring(text, space, " ")
        if self.thousands is not None:
            text = self._without_thousands(text)
        if self.decimal == ".":
            return text
        has_point = compute.match_substring(text, ".").fill_null(False)
        row = has_point.index(True).as_py()
        if row >= 0:
            raise RefusedValueError(
                f"found {cells[row].as_py().decode()[:100]!r}, and the decimal sign of the file is "
                f'{self.decimal!r}. Correct the cell, or set `csv: {{thousands: "."}}` if the '
                "point stands between groups of three digits.",
                row,
            )
        return compute.replace_substring(text, self.decimal, ".")

    def _without_thousands(self, text: pa.Array) -> pa.Array:
        sign, decimal = re.escape(self.thousands or ""), re.escape(self.decimal)
        grouped = rf"^\s*[+-]?\d{{1,3}}({sign}\d{{3}})+({decimal}\d*)?([eE][+-]?\d+)?\s*$"
        trimmed = compute.utf8_trim_whitespace(text)
        has_sign = compute.match_substring(trimmed, self.thousands)
        is_grouped = compute.match_substring_regex(text, grouped)
        row = compute.and_not(has_sign, is_grouped).fill_null(False).index(True).as_py()
        if row >= 0:
            raise RefusedValueError(
                f"found {text[row].as_py()[:100]!r}, where {self.thousands!r} does not stand "
                "between groups of three digits. Correct the cell, or change `thousands` under "
                "`csv`.",
                row,
            )
        return compute.replace_substring(trimmed, self.thousands, "")


#: How numbers are spelled unless the settings say otherwise.
PLAIN = CellSpelling()
