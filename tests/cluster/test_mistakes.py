"""A user's mistake on a cluster is told once, at the end, and no work is done for it twice."""

import pytest

from memtrain.lineage.records.record_store import RecordStore

#: All tests of this folder share one Slurm, so they run in one process of pytest-xdist.
pytestmark = pytest.mark.xdist_group("cluster")


def test_a_mistake_is_told_at_the_end_in_the_words_of_the_log(mistaken_call):
    run = mistaken_call.ended(status=1)
    message = "the loss is nan at step 2"
    assert message in mistaken_call.log_of("first")
    end = run.output.rpartition("train/first cannot be made:")[2]
    assert message in end
    assert len(end.splitlines()) < 10, end


def test_a_try_that_follows_a_mistake_ends_before_it_reads_a_row(mistaken_call):
    mistaken_call.ended(status=1)
    store = RecordStore(mistaken_call.project / "results/small/lineage")
    records = sorted(map(store.read, store.names()), key=lambda record: record.started_at)
    tries = [record for record in records if record.job == "train"]
    assert [record.state for record in tries] == ["failed"] * 3
    assert [bool(record.inputs) for record in tries] == [True, False, False]
    assert len({record.message for record in tries}) == 1
    assert not list((mistaken_call.project / "results/small/lineage/mistakes").glob("*/*"))
