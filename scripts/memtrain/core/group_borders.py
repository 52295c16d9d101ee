"""The borders between groups of rows that lie together, such as the rows of one patient."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from memtrain.core.ranges import Range, resolve_bound


@dataclass(frozen=True)
class GroupBorders:
    """The borders between groups of consecutive rows.

    Attributes:
        starts: the first row of every group, ascending, the first one 0; a list, or an array of
            integers, which may lie in a file.
        rows: number of rows of all groups together.
        column: name of the column whose values make the groups.
    """

    starts: Sequence[int]
    rows: int
    column: str

    @property
    def groups(self) -> int:
        """The number of groups."""
        return len(self.starts)

    def at(self, number: int) -> int:
        """Return the row at which a group starts; the number of rows after the last group."""
        return int(self.starts[number]) if number < self.groups else self.rows

    def around(self, row: int) -> tuple[int, int]:
        """Return the last border at or before a row, and the first one at or after it."""
        number = bisect_right(self.starts, row) - 1
        before = self.rows if row >= self.rows else self.at(number)
        return before, before if before == row else self.at(number + 1)

    def nearest(self, row: int) -> int:
        """Return the border that is nearest to a row, the one before it where two are."""
        before, after = self.around(row)
        return before if row - before <= after - row else after

    def even_borders(self, parts: int) -> list[int]:
        """Return borders that cut the rows into parts as even as groups allow, none empty.

        Args:
            parts: number of parts, not more than there are groups.

        Returns:
            parts + 1 rows, the first one 0 and the last one the number of rows.
        """
        numbers = [0]
        for part in range(1, parts):
            border = self.nearest(self.rows * part // parts)
            number = bisect_right(self.starts, border) - (border < self.rows)
            # At least one group for this part, and one for each of those to come.
            numbers.append(max(numbers[-1] + 1, min(number, self.groups - (parts - part))))
        return [*map(self.at, numbers), self.rows]


def resolve_pair(pair: Sequence[int | str], rows: int, groups: GroupBorders | None) -> Range:
    """Return a range by its row numbers.

    Args:
        pair: its start and its end, each a row number or a percentage.
        rows: number of rows in the file.
        groups: borders between groups of rows; None where rows have none. A percentage stands for
            the border that is nearest to it.
    """

    def resolved(bound: int | str) -> int:
        row = resolve_bound(bound, rows)
        return groups.nearest(row) if groups and isinstance(bound, str) else row

    start, end = pair
    return Range(resolved(start), resolved(end))
