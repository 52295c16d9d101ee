"""Tables that are read while they grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.tracking.points import GrowingTable
from memtrain.training.history import StepRecord, read_last_step, write_history
from memtrain.training.live_tables import LiveTables
from memtrain.training.validation_history import ValidationRecord, read_validations

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


def record(step, loss=0.5):
    return StepRecord(step=step, epoch=1, rows=40, loss=loss, learning_rate=0.1, gradient_norm=2.0)


@pytest.mark.slow
@given(
    losses=st.lists(NUMBERS, min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
    sent=st.integers(0, 10),
)
def test_every_line_counts_once_wherever_the_file_was_cut(tmp_path_factory, losses, cuts, sent):
    folder = tmp_path_factory.mktemp("table")
    records = [record(number, loss) for number, loss in enumerate(losses, 1)]
    write_history(folder / "result.csv", records)
    content = (folder / "result.csv").read_bytes()
    table = GrowingTable("training", sent)
    for cut in sorted(cuts):
        with open(folder / "live.csv", "ab") as file:
            file.write(content[file.tell() : cut])
        table.read(folder / "live.csv")
    table.read(folder / "result.csv")
    expected = {one.step: one for one in records if one.step > sent}
    assert [point.step for point in table.waiting] == list(expected)
    for point in table.waiting:
        loss = expected[point.step].loss
        is_finite = loss - loss == 0
        assert point.values.get("training/loss") == (loss if is_finite else None)
        assert point.values["training/learning_rate"] == 0.1
        assert set(point.values) <= {f"training/{name}" for name in vars(records[0])}


def test_a_file_that_begins_anew_is_read_from_its_start(tmp_path):
    table = GrowingTable("training", 0)
    for steps in ([1, 2, 3, 4], [1, 2], [1, 2, 3, 4, 5]):
        write_history(tmp_path / "history.csv", [record(step) for step in steps])
        table.read(tmp_path / "history.csv")
    assert [point.step for point in table.waiting] == [1, 2, 3, 4, 5]


def test_live_tables_are_the_beginning_of_the_results(tmp_path):
    validation = ValidationRecord(1, 2, 100, 0.25, {"r2": 0.5})
    live = LiveTables(tmp_path, [record(1)], [])
    write_history(tmp_path / "whole.csv", [record(step) for step in (1, 2, 3)])
    whole = (tmp_path / "whole.csv").read_text()
    for step in (2, 3):
        assert whole.startswith((tmp_path / "history.csv").read_text())
        live.add_step(record(step))
        live.add_validation(validation)
        live.flush()
    assert (tmp_path / "history.csv").read_text() == whole
    assert read_validations(tmp_path / "validation.csv") == [validation]
    # The next run begins with what its checkpoint holds.
    LiveTables(tmp_path, [record(1), record(2)], [validation]).add_validation(validation)
    assert read_last_step(tmp_path / "history.csv") == record(2)
    assert read_validations(tmp_path / "validation.csv") == [validation]


def test_live_tables_that_cannot_be_written_are_told_once(tmp_path, caplog):
    live = LiveTables(tmp_path, [], [])
    (tmp_path / "history.csv").unlink()
    (tmp_path / "history.csv").mkdir()
    for step in range(1, 4):
        live.add_step(record(step))
        live.flush()
    assert len(caplog.records) == 1
    assert str(tmp_path) in caplog.text
