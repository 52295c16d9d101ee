"""Orders by classes and by groups, against what NumPy says of the whole permutation."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.fair_sequence import fair_sequence
from memtrain.core.permutations import permuted
from memtrain.data.external_shuffle import reordered
from memtrain.data.record_file import RecordLayout
from memtrain.data.row_places import ChangedValuesError, GroupedPlaces, StratifiedPlaces
from memtrain.data.source_order import SourceOrder
from memtrain.data.value_counts import ValueCounts
from tests.unit.data.test_external_shuffle import InMemory, numbered

CODES = st.lists(st.integers(0, 6).map(lambda kind: kind * 0x9E3779B97F4A7C15 % 2**64), min_size=1)
HOW = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([StratifiedPlaces, GroupedPlaces]),
        "bucket_bytes": st.sampled_from([1, 100, 400, 1 << 20]),
        "seed": st.integers(0, 2**63 - 1),
    }
)


def places_of(codes, kind, seed=1, bucket_bytes=1 << 20):
    counts = ValueCounts()
    for start in range(0, len(codes), 100):
        counts.add(codes[start : start + 100])
    return kind(seed, counts, 8, bucket_bytes)


def written(codes, cuts=(), waiting_bytes=1 << 20, **how):
    """Return the numbers of the rows in the order in which they are written, (rows,)."""
    records = numbered(len(codes))
    writer = InMemory(RecordLayout(records.dtype, (), len(records)))
    places = places_of(codes, **how)
    with reordered(writer, places, Path("data.npy"), waiting_bytes=waiting_bytes) as ordered:
        for start, end in pairwise(sorted({0, *cuts, len(records)})):
            ordered.write(start, records[start:end], codes[start:end])
    return writer.rows["target"][:, 0]


@pytest.fixture(scope="module", autouse=True)
def _in_a_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("places"))
        yield


@pytest.mark.slow
@settings(deadline=None)
@given(CODES, HOW, st.sets(st.integers(0, 100)), st.sampled_from([1, 300, 1 << 20]))
def test_any_cut_and_any_memory_give_the_same_permutation(codes, how, cuts, waiting_bytes):
    codes = np.array(codes, np.uint64)
    found = written(codes, **how)
    assert np.array_equal(np.sort(found), np.arange(len(codes)))
    inside = {cut for cut in cuts if cut < len(codes)}
    how |= {"bucket_bytes": 1 << 20}
    assert np.array_equal(written(codes, inside, waiting_bytes, **how), found)


@pytest.mark.slow
@settings(deadline=None)
@given(CODES, HOW, st.integers(1, 30))
def test_places_lead_from_the_source_to_the_data_file_and_back(codes, how, rows_at_once):
    codes = np.array(codes, np.uint64)
    found = written(codes, **how)
    order = SourceOrder(places_of(codes, **how))
    pieces = np.array_split(codes, range(rows_at_once, len(codes), rows_at_once))
    places = np.concatenate([order.next_places(len(piece), piece) for piece in pieces])
    assert np.array_equal(found[order.rows_at(places)], np.arange(len(codes)))
    some = np.array([0, len(codes) - 1, len(codes) // 2])
    assert np.array_equal(places[found[some]], order.places_of(some))


def largest_deviation(kinds):
    """Return by how many rows of a class any range differs from its share, at most."""
    rows, worst = len(kinds), 0.0
    for kind in np.unique(kinds):
        count = (kinds == kind).sum()
        above = np.append(0, np.cumsum(kinds == kind) - np.arange(1, rows + 1) * count / rows)
        worst = max(worst, above.max() - above.min())
    return worst


@settings(deadline=None)
@given(CODES, HOW)
def test_every_range_has_the_shares_of_all_classes(codes, how):
    codes = np.array(codes, np.uint64)
    order = written(codes, **how | {"kind": StratifiedPlaces})
    assert largest_deviation(codes[order]) < 2


def test_shares_are_kept_for_many_classes_and_rows():
    generator = np.random.default_rng(0)
    codes = generator.geometric(0.02, 30_000).astype(np.uint64)
    order = written(codes, kind=StratifiedPlaces, bucket_bytes=20_000)
    assert largest_deviation(codes[order]) < 2
    # Within a class, the old place of a row says nothing about its new one.
    for kind in (1, 5):
        old = order[codes[order] == kind]
        assert abs(np.corrcoef(old, np.arange(len(old)))[0, 1]) < 0.15
    other = written(codes, kind=StratifiedPlaces, bucket_bytes=20_000, seed=2)
    assert (other == order).mean() < 0.05


@pytest.mark.slow
@settings(deadline=None)
@given(CODES, HOW)
def test_groups_are_whole_and_keep_the_order_of_their_rows(codes, how):
    codes = np.array(codes, np.uint64)
    how |= {"kind": GroupedPlaces}
    order = written(codes, **how)
    starts = np.flatnonzero(np.append(True, np.diff(codes[order].astype(object)) != 0))
    assert len(starts) == len(np.unique(codes))
    assert np.array_equal(places_of(codes, **how).starts, starts)
    for code in np.unique(codes):
        assert np.array_equal(order[codes[order] == code], np.flatnonzero(codes == code))


def test_groups_come_in_random_order():
    codes = np.arange(2000).astype(np.uint64)
    orders = [written(codes, kind=GroupedPlaces, seed=seed) for seed in (1, 2)]
    for order in orders:
        assert abs(np.corrcoef(order, np.arange(2000))[0, 1]) < 0.1
    assert abs(np.corrcoef(*orders)[0, 1]) < 0.1


@pytest.mark.parametrize("kind", [StratifiedPlaces, GroupedPlaces])
@pytest.mark.parametrize("other", [[5, 5, 7], [5, 7, 7, 7]], ids=["another value", "more rows"])
def test_other_values_than_those_of_the_first_pass_are_refused(kind, other):
    places = places_of(np.array([5, 6, 7], np.uint64), kind)
    with pytest.raises(ChangedValuesError):
        places.next_places(len(other), np.array(other, np.uint64))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_every_beginning_of_a_fair_sequence_is_less_than_one_off(counts):
    sequence = np.concatenate(list(fair_sequence(counts)))
    assert np.array_equal(np.bincount(sequence), counts)
    places = np.arange(1, len(sequence) + 1)
    for kind, count in enumerate(counts):
        taken = np.cumsum(sequence == kind)
        assert np.abs(taken - places * count / len(sequence)).max() < 1


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 4])
def test_all_permutations_are_equally_frequent(size):
    times = 200
    numbers = np.arange(size, dtype=np.uint64)
    sizes = np.full(size, size, np.uint64)
    counts = {}
    orders = 6 if size == 3 else 24
    for key in range(times * orders):
        found = tuple(permuted(numbers, sizes, np.full(size, key, np.uint64)).tolist())
        counts[found] = counts.get(found, 0) + 1
    assert len(counts) == orders
    assert sum((count - times) ** 2 / times for count in counts.values()) < 62


MEASUREMENT = """
import sys
import numpy as np
from memtrain.data import row_places
from memtrain.data.external_shuffle import reordered
from memtrain.data.record_file import create, record_dtype
from memtrain.data.value_counts import ValueCounts

def most_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

kind, values, rows, mib = sys.argv[1], *map(int, sys.argv[2:])
dtype = record_dtype(features=("u1", 31), target=("u1", 1))
piece = np.zeros((1 << 20) // dtype.itemsize, dtype)
codes = np.arange(len(piece), dtype=np.uint64) % np.uint64(values)
before = most_kib()
counts = ValueCounts()
for start in range(0, rows, len(piece)):
    counts.add(codes[: rows - start])
places = getattr(row_places, kind)(1, counts, dtype.itemsize, mib << 20)
with (
    create("data.npy", dtype, rows) as writer,
    reordered(writer, places, "data.npy", waiting_bytes=mib << 20) as ordered,
):
    for start in range(0, rows, len(piece)):
        ordered.write(start, piece[: rows - start], codes[: rows - start])
print(most_kib() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "values"),
    [("StratifiedPlaces", 2), ("GroupedPlaces", 1)],
    ids=["classes", "group"],
)
def test_memory_holds_a_bucket_and_not_the_rows(tmp_path, repository, kind, values):
    rows_mib, held_mib = 42, 4
    used_kib = subprocess.check_output(
        [sys.executable, "-c", MEASUREMENT, kind, str(values), str(rows_mib << 15), str(held_mib)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository / "scripts")},
        stderr=subprocess.DEVNULL,
    )
    # Waiting rows and a bucket, with the memory that sorts them, and memory of Python.
    assert int(used_kib) >> 10 < 3 * held_mib + 8 < rows_mib / 2
