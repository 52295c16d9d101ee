"""Grids of shards: what a walk over all rows, file by file, would count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.ranges import Range
from memtrain.core.shard_grid import ONE_SECTION, ShardGrid

files = st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(sum)
sizes = st.integers(1, 12)


def shards_by_walking(rows_of_files, rows_per_shard):
    """Return the shard of every row, counted file by file."""
    shards, number = [], -1
    for rows in rows_of_files:
        for row in range(rows):
            number += row % rows_per_shard == 0
            shards.append(number)
    return shards


def grid_of(rows_of_files, rows_per_shard):
    borders = [sum(rows_of_files[:number]) for number in range(len(rows_of_files))]
    return ShardGrid.with_borders(
        rows_per_shard, [row for row in borders if row < sum(rows_of_files)]
    )


@given(files, sizes)
def test_every_row_lies_in_the_shard_that_a_walk_finds(rows_of_files, rows_per_shard):
    grid = grid_of(rows_of_files, rows_per_shard)
    expected = shards_by_walking(rows_of_files, rows_per_shard)
    assert [grid.shard_at(row) for row in range(len(expected))] == expected


@given(files, sizes, st.data())
def test_ranges_are_cut_at_shards_and_part_of_a_grid_cuts_alike(
    rows_of_files, rows_per_shard, data
):
    grid = grid_of(rows_of_files, rows_per_shard)
    expected = shards_by_walking(rows_of_files, rows_per_shard)
    start = data.draw(st.integers(0, len(expected) - 1))
    rows = Range(start, data.draw(st.integers(start + 1, len(expected))))
    parts = list(grid.cut(rows))
    assert [row for _, part in parts for row in range(*part)] == list(range(*rows))
    for shard, part in parts:
        assert {expected[row] for row in range(*part)} == {shard}
    assert len({shard for shard, _ in parts}) == len(parts)
    assert list(grid.around([rows]).cut(rows)) == parts


@given(files, files, sizes)
def test_appended_files_leave_earlier_shards(rows_of_files, appended, rows_per_shard):
    before = grid_of(rows_of_files, rows_per_shard)
    after = grid_of([*rows_of_files, *appended], rows_per_shard)
    whole = Range(0, sum(rows_of_files))
    assert list(after.cut(whole)) == list(before.cut(whole))


def test_one_file_has_shards_of_even_size():
    grid = ShardGrid(10)
    assert grid.sections == ONE_SECTION
    assert grid.around([Range(30, 40)]) == grid
    assert list(grid.cut(Range(5, 21))) == [
        (0, Range(5, 10)),
        (1, Range(10, 20)),
        (2, Range(20, 21)),
    ]
    assert not list(grid.cut(Range(5, 5)))


def test_rows_before_a_part_of_a_grid_and_grids_without_rows_are_refused():
    part = ShardGrid.with_borders(10, [15]).around([Range(20, 30)])
    assert part.shard_at(26) == 3
    with pytest.raises(ValueError, match="row 3 lies before"):
        part.shard_at(3)
    with pytest.raises(ValueError, match="not a grid"):
        ShardGrid(0)
