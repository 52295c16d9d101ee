"""Queries of impact find the same files as a computation row by row, on random chains of runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lineage
from memtrain.core.ranges import Range
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.impact import (
    downstream_of_digest,
    downstream_of_file,
    downstream_of_rows,
)
from tests.unit.lineage.lineage_records import Records, digest_of, file, piece, rows, rows_written

ROWS = 12

ranges_strategy = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(1, ROWS)).map(
        lambda pair: (pair[0], max(pair[0] + 1, pair[1]))
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def chains(draw):
    """Return runs as (what they read, what they write), both as file numbers with ranges."""
    runs = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        read = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3, unique=True))
        reads = [(one, draw(ranges_strategy)) for one in read]
        runs.append((reads, (number, draw(ranges_strategy))))
    return runs


def row_by_row(runs, start):
    """Return the files that are reached when every single row is followed."""
    reached, files = {(0, row) for row in range(*start)}, set()
    for reads, (written, ranges) in runs:
        taken = {(one, row) for one, parts in reads for part in parts for row in range(*part)}
        if taken & reached:
            files.add(f"file{written}")
            reached |= {(written, row) for part in ranges for row in range(*part)}
    return files


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(runs=chains(), start=st.tuples(st.integers(0, ROWS - 1), st.integers(1, ROWS)))
def test_impact_equals_following_every_row(tmp_path_factory, runs, start):
    start = (start[0], max(start[0] + 1, start[1]))
    records = Records(tmp_path_factory.mktemp("lineage"))
    records.add("make", outputs=[rows_written("file0", (0, ROWS))])
    for number, (reads, (written, ranges)) in enumerate(runs):
        records.add(
            f"job{number}",
            [rows(f"file{one}", *parts) for one, parts in reads],
            [rows_written(f"file{written}", *ranges, text=str(written))],
        )
    index = LineageIndex(records.store.folder)
    found = downstream_of_rows(index, "file0", [Range(*start)])
    assert {one.path for one in found} == row_by_row(runs, start)
    index.close()


@pytest.fixture
def index(tmp_path):
    """A data file, two recipes, two models, and a summary of both."""
    records = Records(tmp_path)
    records.add("generate_data", outputs=[rows_written("data.npy", (0, 100))])
    records.add("index_shards", [rows("data.npy", (0, 100))], [file("manifest", "manifest")])
    data = rows("data.npy", (0, 50), part="a")
    data.rows["b"] = [Range(50, 100)]
    recipes = [file(f"{name}.json", "recipe", name, part=name) for name in "ab"]
    records.add("resolve_splits", [data, file("manifest", "manifest")], recipes)
    for name, start in (("a", 0), ("b", 50)):
        used = rows("data.npy", (start, start + 50), pieces=[piece(start, start, start + 50, name)])
        recipe = file(f"{name}.json", "recipe", name)
        records.add("train", [used, recipe], [file(f"{name}.model", "model", f"1{name}")], name)
    models = [file(f"{name}.model", "model", f"1{name}") for name in "ab"]
    records.add("summarize", models, [file("summary", "summary", "2")])
    index = LineageIndex(tmp_path)
    yield index
    index.close()


def found(reached):
    return {one.path: one.depth for one in reached}


def test_rows_reach_the_recipes_and_models_that_use_them(index):
    expected = {"manifest": 1, "a.json": 1, "a.model": 1, "summary": 2}
    assert found(downstream_of_rows(index, "data.npy", [Range(0, 1)])) == expected


def test_a_file_about_rows_reaches_everything_that_was_made_with_it(index):
    expected = {"a.json": 1, "b.json": 1, "a.model": 2, "b.model": 2, "summary": 3}
    assert found(downstream_of_file(index, "manifest")) == expected


def test_a_recipe_reaches_only_its_own_model(index):
    expected = {"b.model": 1, "summary": 2}
    assert found(downstream_of_file(index, "b.json")) == expected


@pytest.mark.parametrize("text", ["a", "1a"])
def test_a_digest_of_rows_or_of_a_file_reaches_what_was_made_from_it(index, text):
    reached = found(downstream_of_digest(index, digest_of(text)))
    assert "summary" in reached
    assert "b.model" not in reached


def test_files_that_were_overwritten_are_marked(tmp_path):
    records = Records(tmp_path)
    for text, end in (("1", 20), ("2", 10)):
        records.add("train", [rows("data.npy", (0, end))], [file("model", "model", text)], "a")
    index = LineageIndex(tmp_path)
    reached = downstream_of_rows(index, "data.npy", [Range(15, 16)])
    assert [(one.digest, one.is_current) for one in reached] == [(digest_of("1"), False)]
    reached = downstream_of_rows(index, "data.npy", [Range(5, 6)])
    assert sorted(one.is_current for one in reached) == [False, True]


@pytest.mark.parametrize("text", ["0:99999999999999999999", "9" * 5000, "²", "5:5", str(2**63 - 1)])
def test_rows_that_no_file_can_have_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        lineage.main(["impact", "--rows", text])
    assert "is neither a row number below 2^63 nor START:END" in capsys.readouterr().err
