"""Withdrawn rows are found by their values, whatever happened to the rows around them."""

import csv
import os
import random
import stat
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from memtrain.config.dataset import ImportSettings, MockSettings
from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data import record_file
from memtrain.data.external_shuffle import reordered
from memtrain.data.mock_rows import write_mock_data
from memtrain.data.record_file import map_rows, read_record_layout
from memtrain.data.row_places import SourcePlaces
from memtrain.data.source import Source
from memtrain.data.tables.importer import TableImport
from memtrain.lineage.queries.withdraw import restore, state_gone, withdraw
from memtrain.lineage.queries.withdrawal_actions import WithdrawalName
from memtrain.recipes.withdrawals import read_withdrawals, write_withdrawals
from memtrain.recipes.withdrawn_rows import WithdrawnRows

COLUMNS = {"features": ["a", "w"], "target": ["y"], "categories": ["w"]}


class Data:
    """A dataset whose rows (a, w, y) come from files of three columns and a fourth one."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "withdrawals.yaml"
        self.results = ResultsLayout(folder / "out")
        (folder / "in").mkdir()

    def write(self, rows, *, files=1, kind="csv", columns=("a", "w", "y", "more"), **options):
        """Write rows, (a, w, y) each, into files, and import them."""
        for old in (self.folder / "in").iterdir():
            old.unlink()
        size = -(-len(rows) // files)
        for number in range(files):
            path = self.folder / "in" / f"{number}.csv"
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, columns, extrasaction="ignore")
                writer.writeheader()
                for a, w, y in rows[number * size : (number + 1) * size]:
                    writer.writerow({"a": a, "w": w, "y": y, "more": random.random()})
            if kind == "parquet":
                parquet.write_table(arrow_csv.read_csv(path), path.with_suffix(".parquet"))
                path.unlink()
        self.import_files(**{**COLUMNS, **options})

    def import_files(self, **options):
        """Import all files, as import_data does."""
        rows = TableImport(ImportSettings(path=str(self.folder / "in"), **options))
        rows.survey()
        with record_file.create(self.results.data, rows.dtype, rows.rows) as writer:
            places = rows.order.places(writer.layout, self.folder)
            with (
                nullcontext(writer)
                if isinstance(places, SourcePlaces)
                else reordered(writer, places, self.results.data) as ordered
            ):
                rows.write(ordered)
        rows.source().made_of({}, self.results.data).write(self.results.source)

    def withdraw(self, start, end):
        return withdraw(
            self.file, dataset="d", results=self.results, rows=Range(start, end), reason="asked"
        )

    def restore(self, **name):
        every_data = name.pop("every_data", False)
        return restore(self.file, "d", self.results, WithdrawalName(**name), every_data)

    def rows(self):
        """Return the rows (a, w, y) of the data file as they were before they were encoded."""
        source = Source.read(self.results.source)
        found = map_rows(self.results.data, read_record_layout(self.results.data))
        (number,) = [one for one in source.columns if one.name == "a"]
        words: dict[int, str | None] = {0: None}
        for column in source.columns:
            words |= {code: word for word, code in (column.words or {}).items()}
        return [
            (float(a[0]), words[int(code[0])], float(target[0]))
            for a, code, target in zip(
                found[number.field], found["features_words"], found["target"], strict=True
            )
        ]

    def found(self):
        """Return the numbers of the withdrawn rows, from a search."""
        withdrawals = read_withdrawals(self.file, "d")
        ranges = WithdrawnRows(withdrawals, self.file, self.results).find()
        return [row for one in ranges for row in range(one.start, one.end)]

    def known(self):
        """Return the rows of all withdrawals, as queries know them."""
        withdrawals = read_withdrawals(self.file, "d")
        found = WithdrawnRows(withdrawals, self.file, self.results).known()
        return [one.rows for one in found]


@pytest.fixture
def data(tmp_path):
    return Data(tmp_path)


def numbered(count, start=0):
    return [(number, "uv"[number % 2], number / 4) for number in range(start, start + count)]


ORDERS = st.sampled_from([None, 2, {"seed": 1, "stratify_by": "w"}, {"seed": 1, "group_by": "y"}])

rows_of_hypothesis = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("uv"), st.sampled_from([0.5, 1.25])),
    min_size=4,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.data(),
    rows_of_hypothesis,
    rows_of_hypothesis,
    ORDERS,
    st.fixed_dictionaries(
        {
            "files": st.integers(1, 2),
            "kind": st.sampled_from(["csv", "parquet"]),
            "shuffle_once": ORDERS,
            "dtypes": st.sampled_from([{}, {"a": "float64"}]),
            "features": st.permutations(["a", "w"]),
        }
    ),
)
def test_the_rows_with_withdrawn_values_are_found(tmp_path_factory, choice, old, new, seed, how):
    data = Data(tmp_path_factory.mktemp("x"))
    data.write(old, shuffle_once=seed)
    start = choice.draw(st.integers(0, len(old) - 1))
    end = choice.draw(st.integers(start + 1, len(old)))
    withdrawn = set(data.rows()[start:end])
    data.withdraw(start, end)
    assert data.found() == [row for row, one in enumerate(data.rows()) if one in withdrawn]
    moved = choice.draw(st.permutations([*new, *old]))
    data.write(moved, **how)
    assert data.found() == [row for row, one in enumerate(data.rows()) if one in withdrawn]


def test_rows_that_left_stop_the_search_until_that_is_stated(data, caplog):
    data.write(numbered(20))
    data.withdraw(3, 6)
    data.write(numbered(16, start=4))
    with pytest.raises(UserError, match=r"rows \[3, 6\) \(asked\): 1 of these 3 withdrawn rows"):
        data.found()
    [gone] = state_gone(data.file, dataset="d", results=data.results, reason="erased")
    assert (gone.gone.rows, gone.gone.reason) == (1, "erased")
    assert data.found() == [0, 1]
    with pytest.raises(UserError, match="nothing to record"):
        state_gone(data.file, dataset="d", results=data.results, reason="again")
    # What is stated holds for no more rows than were missing, and a row may come back.
    data.write(numbered(10, start=5))
    with pytest.raises(UserError, match="2 of these 3 withdrawn rows"):
        data.found()
    data.write(numbered(20)[::-1])
    assert data.found() == [14, 15, 16]


def test_rows_that_an_import_drops_are_found_but_have_no_number(data):
    data.write(numbered(10), missing="drop", shuffle_once=1)
    rows = data.rows()
    data.withdraw(2, 4)
    data.write([("", "u", 1), *rows, ("", "v", 2)], missing="drop", shuffle_once=3)
    assert sorted(data.rows()[row] for row in data.found()) == sorted(rows[2:4])


def test_columns_that_are_gone_are_not_compared(data):
    data.write(numbered(10))
    data.withdraw(4, 5)
    data.write(numbered(10, start=2), columns=("y", "a"), features=["a"], categories=[])
    assert data.found() == [2]
    for old in (data.folder / "in").iterdir():
        old.write_text("b,z\n1,2\n3,4\n")
    data.import_files(features=["b"], target=["z"])
    with pytest.raises(UserError, match="known by the columns a, w, y"):
        data.found()


def test_the_key_is_private_and_data_that_changed_needs_it(data):
    data.write(numbered(10))
    data.withdraw(4, 5)
    key = data.folder / "withdrawals.d/key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (data.folder / "withdrawals.d/.gitignore").read_text() == "/key\n"
    kept = key.read_text()
    key.unlink()
    assert data.found() == [4]
    with pytest.raises(UserError, match="the key of withdrawn rows is missing"):
        data.withdraw(6, 7)
    # Even where the row lies where it lay: others with its values would not be found.
    for moved in (numbered(20), numbered(20, start=1)):
        data.write(moved)
        with pytest.raises(UserError, match=r"key: the key of withdrawn .* missing.*Copy the key"):
            data.found()
    key.write_text("")
    with pytest.raises(UserError, match=r"key: this is not the key .* 0 bytes of 32"):
        data.withdraw(6, 7)
    key.write_text(bytes(32).hex())
    with pytest.raises(UserError, match="is another key"):
        data.found()
    key.write_text(kept)
    assert data.found() == [3]


def test_files_that_changed_since_the_import_are_refused(data):
    data.write(numbered(10))
    path = data.folder / "in/0.csv"
    path.write_text(path.read_text().replace("9,v", "8,v"))
    with pytest.raises(UserError, match=r"0\.csv: this file has changed since it was imported"):
        data.withdraw(4, 5)
    assert not data.file.exists()


def test_digests_that_changed_are_refused_and_restored_ones_are_removed(data):
    data.write(numbered(10))
    added = data.withdraw(4, 5)
    [path] = (data.folder / "withdrawals.d").glob("*.npy")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    data.write(numbered(10)[::-1])
    with pytest.raises(UserError, match="it has changed"):
        data.found()
    path.write_bytes(content)
    assert data.found() == [5]
    assert data.restore(rows=Range(4, 5)) == [added]
    assert not path.exists()
    assert data.found() == []


def test_a_withdrawal_without_values_is_about_the_bytes_of_its_rows(data):
    data.write(numbered(10))
    old = data.withdraw(4, 5).model_copy(update={"values": None, "data": None})
    write_withdrawals(data.file, "d", [old])
    data.write(numbered(15))
    assert data.found() == [4]
    data.write(numbered(15)[::-1])
    with pytest.raises(UserError, match=r"not the bytes that were withdrawn.*restore --rows 4:5"):
        data.found()
    state_gone(data.file, dataset="d", results=data.results, reason="erased")
    assert data.found() == []


def test_what_was_found_is_noted_and_the_source_is_not_read_again(data):
    data.write(numbered(10))
    data.withdraw(4, 5)
    data.write(numbered(10)[::-1])
    assert data.found() == [5]
    for path in (data.folder / "in").iterdir():
        os.remove(path)
    assert data.found() == [5]
    assert data.known() == [(5, 6)]
    # Without the note and the source, the numbers tell nothing: other bytes stand there.
    data.results.withdrawn_rows.unlink()
    assert data.known() == []
    data.results.data.unlink()
    assert data.known() == [(4, 5)]


def test_generated_rows_are_known_by_their_fields(data):
    def write(rows, seed):
        data.folder.joinpath("out").mkdir(exist_ok=True)
        mock = MockSettings(rows=rows, features=3, seed=seed)
        source = write_mock_data(data.results.data, mock)
        source.made_of({}, data.results.data).write(data.results.source)

    write(100, 0)
    data.withdraw(7, 9)
    write(200, 0)
    assert data.found() == [7, 8]
    write(200, 1)
    with pytest.raises(UserError, match="2 of these 2 withdrawn rows are not found"):
        data.found()


def test_withdrawals_of_the_same_numbers_in_different_data_are_restored_one_by_one(data):
    data.write(numbered(20))
    first = data.withdraw(4, 6)
    data.write(numbered(40)[10:])
    second = data.withdraw(4, 6)  # The rows 14 and 15 of before.
    with pytest.raises(UserError, match=r"2 withdrawals match.*different data.*--at") as caught:
        data.restore(rows=Range(4, 6))
    assert all(one.at in str(caught.value) for one in (first, second))
    with pytest.raises(UserError, match=r"2 withdrawals match"):
        data.restore(reason="ask")
    assert read_withdrawals(data.file, "d") == [first, second]
    assert data.restore(rows=Range(0, 10), at=second.at) == [second]
    assert read_withdrawals(data.file, "d") == [first]
    assert len(list((data.folder / "withdrawals.d").glob("*.npy"))) == 1
    assert data.restore(rows=Range(4, 6)) == [first]
    with pytest.raises(UserError, match=r"no withdrawal of d is called so.*none"):
        data.restore(rows=Range(4, 6))


def test_all_withdrawals_can_be_restored_whatever_data_they_come_from(data):
    data.write(numbered(20))
    data.withdraw(4, 6)
    data.write(numbered(40)[10:])
    data.withdraw(4, 6)
    assert len(data.restore(every_data=True)) == 2
    assert read_withdrawals(data.file, "d") == []


def test_only_the_named_one_of_two_withdrawals_with_the_same_numbers_is_stated_gone(data):
    data.write(numbered(20))
    first = data.withdraw(4, 6)
    data.write(numbered(40)[10:])
    second = data.withdraw(4, 6)
    data.write(numbered(60)[50:])

    def state(**name):
        name = WithdrawalName(**name)
        return state_gone(data.file, dataset="d", results=data.results, reason="x", name=name)

    with pytest.raises(UserError, match=r"2 withdrawals match.*different data"):
        state(rows=Range(4, 6))
    with pytest.raises(UserError, match=r"no withdrawal of d is called so.*\[4, 6\)"):
        state(rows=Range(5, 6))
    [gone] = state(rows=Range(4, 6), at=first.at)
    assert gone.at == first.at
    assert read_withdrawals(data.file, "d") == [gone, second]
    with pytest.raises(UserError, match=f"restore --rows 4:6 --at {second.at}`"):
        data.found()


def test_values_that_another_dataset_names_are_kept(data):
    data.write(numbered(20))
    added = data.withdraw(4, 6)
    write_withdrawals(data.file, "other", [added])
    data.restore(rows=Range(4, 6))
    assert len(list((data.folder / "withdrawals.d").glob("*.npy"))) == 1
