"""``ShardGrid``: where rows are cut into shards.

Rows of one file are cut after every so many rows. Where rows lie in many files, the count begins
anew at each border between files, so that no shard holds rows of two files: a file that changes, or
is appended, leaves the shards of the others as they are.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from memtrain.core.ranges import Range

#: Rows that lie in one file: shard 0 begins at row 0, and the count never begins anew.
ONE_SECTION = ((0, 0),)


@dataclass(frozen=True)
class ShardGrid:
    """The borders of shards, and the numbers of the shards between them.

    Attributes:
        rows_per_shard: number of rows of every shard but the last one of a section.
        sections: the rows at which the count begins anew, ascending, each with the number of the
            shard that begins there.
    """

    rows_per_shard: int
    sections: tuple[tuple[int, int], ...] = ONE_SECTION

    def __post_init__(self) -> None:
        if self.rows_per_shard < 1 or not self.sections:
            raise ValueError(f"not a grid of shards: {self.rows_per_shard} rows, {self.sections}")

    @classmethod
    def with_borders(cls, rows_per_shard: int, borders: Iterable[int]) -> "ShardGrid":
        """Return the grid of rows that begin anew at some borders.

        Args:
            rows_per_shard: number of rows of a shard.
            borders: the rows at which files begin, ascending, each once; row 0 may be left out.
        """
        sections = [(0, 0)]
        for border in borders:
            start, shard = sections[-1]
            if border > start:
                sections.append((border, shard + -(-(border - start) // rows_per_shard)))
        return cls(rows_per_shard, tuple(sections))

    def shard_at(self, row: int) -> int:
        """Return the number of the shard that a row lies in."""
        start, shard = self.sections[self._section_at(row)]
        return shard + (row - start) // self.rows_per_shard

    def cut(self, rows: Range) -> Iterator[tuple[int, Range]]:
        """Cut a range at the borders of shards; yield the number and the rows of each part."""
        section, row = self._section_at(rows.start), rows.start
        while row < rows.end:
            start, first_shard = self.sections[section]
            is_last = section + 1 == len(self.sections)
            section_end = rows.end if is_last else min(rows.end, self.sections[section + 1][0])
            while row < section_end:
                place = (row - start) // self.rows_per_shard
                end = min(start + (place + 1) * self.rows_per_shard, section_end)
                yield first_shard + place, Range(row, end)
                row = end
            section += 1

    def around(self, ranges: Iterable[Range]) -> "ShardGrid":
        """Return the part of the grid that cuts some ranges, at least one, as the whole does."""
        needed = {
            number
            for rows in ranges
            for number in range(self._section_at(rows.start), self._section_at(rows.end - 1) + 1)
        }
        return ShardGrid(self.rows_per_shard, tuple(self.sections[one] for one in sorted(needed)))

    def _section_at(self, row: int) -> int:
        section = bisect_right(self.sections, row, key=itemgetter(0)) - 1
        if section < 0:
            raise ValueError(f"row {row} lies before the first shard of {self.sections[0]}")
        return section
