"""Rows are shuffled uniformly and reproducibly, in little memory, and no scratch file is left."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.data.external_shuffle import ShuffledWriter, shuffled
from memtrain.data.record_file import RecordLayout, create, record_dtype
from memtrain.data.row_places import BucketDraw, UniformPlaces


@dataclass
class InMemory:
    """Stands in for the writer of a record file, and keeps the written rows in memory."""

    layout: RecordLayout
    written: dict[int, np.ndarray] = field(default_factory=dict)

    def write(self, start, rows):
        self.written[start] = rows

    @property
    def rows(self):
        starts = sorted(self.written)
        ends = [start + len(self.written[start]) for start in starts]
        assert [0, *ends] == [*starts, self.layout.rows]
        return np.concatenate([self.written[start] for start in starts])


def numbered(rows, width=1):
    """Return records that hold the number of their row in both fields."""
    records = np.empty(rows, record_dtype(features=("<i4", width), target=("<i4", 1)))
    records["features"] = records["target"] = np.arange(rows)[:, None]
    return records


def shuffle(records, seed, cuts=(), **sizes):
    """Return records in their shuffled order.

    Args:
        records: all records.
        seed: seed of the order.
        cuts: rows at which one write ends and the next begins.
        sizes: sizes of buckets, chunks and waiting rows.
    """
    writer = InMemory(RecordLayout(records.dtype, records.shape[1:], len(records)))
    with shuffled(writer, seed, Path("data.npy"), **sizes) as ordered:
        for start, end in pairwise(sorted({0, *cuts, len(records)})):
            ordered.write(start, records[start:end])
    return writer.rows


@pytest.fixture(scope="module", autouse=True)
def _in_a_folder(tmp_path_factory):
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("shuffle"))
    yield
    os.chdir(before)


SIZES = st.fixed_dictionaries(
    {"bucket_bytes": st.sampled_from([1, 50, 1000, 1 << 20]), "rows_per_chunk": st.integers(1, 70)}
)


@pytest.mark.slow
@settings(deadline=None)
@given(
    rows=st.integers(1, 200),
    width=st.integers(1, 30),
    sizes=SIZES,
    waiting_bytes=st.sampled_from([1, 300, 2000, 1 << 20]),
    seed=st.integers(0, 2**63 - 1),
    cuts=st.sets(st.integers(0, 200)),
)
def test_any_cut_and_any_memory_give_the_same_permutation(
    rows, width, sizes, waiting_bytes, seed, cuts
):
    records = numbered(rows, width)
    found = shuffle(records, seed, {cut for cut in cuts if cut < rows}, **sizes)
    assert np.array_equal(np.sort(found["target"][:, 0]), np.arange(rows))
    assert (found["features"] == found["target"]).all()
    again = shuffle(records, seed, **sizes, waiting_bytes=waiting_bytes)
    assert again.tobytes() == found.tobytes()
    if rows >= 30:  # Two orders are equal with a chance of 1 in 30!.
        assert shuffle(records, seed ^ 1, **sizes).tobytes() != found.tobytes()
        assert found.tobytes() != records.tobytes()


def test_rows_of_a_plain_file_stay_whole():
    rows = np.repeat(np.arange(100, dtype="<f4"), 6).reshape(100, 2, 3)
    found = shuffle(rows, seed=1, bucket_bytes=500, waiting_bytes=700)
    assert (found == found[:, :1, :1]).all()
    assert sorted(found[:, 0, 0]) == list(range(100))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes", [{"bucket_bytes": 1 << 20}, {"bucket_bytes": 16}, {"bucket_bytes": 8}]
)
def test_all_orders_are_equally_frequent(sizes):
    records = numbered(4)  # 8 bytes each: one bucket, two or four
    times = 100
    counts = dict.fromkeys(permutations(range(4)), 0)
    for seed in range(times * len(counts)):
        found = shuffle(records, seed, rows_per_chunk=3, **sizes)
        counts[tuple(found["target"][:, 0].tolist())] += 1
    chi_square = sum((count - times) ** 2 / times for count in counts.values())
    # 23 degrees of freedom: 1 in 100,000 fair shuffles lies outside of these limits.
    assert 4 < chi_square < 62


def test_every_row_is_equally_likely_at_every_place():
    """Over many rows and chunks, the old place of a row says nothing about its new place."""
    rows, parts = 40_000, 8
    found = shuffle(numbered(rows), seed=3, bucket_bytes=20_000, rows_per_chunk=1000)
    origins = found["target"][:, 0] * parts // rows
    counts = np.array([np.bincount(part) for part in origins.reshape(parts, -1)])
    expected = rows / parts**2
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 49 degrees of freedom.
    assert 15 < chi_square < 110


def test_the_bucket_of_a_row_can_be_looked_up():
    draw = BucketDraw(seed=5, rows=100_000, buckets=300)
    buckets = draw.draw(0, 100_000)
    assert np.array_equal(draw.draw(8000, 30_000), buckets[8000:30_000])
    edges = np.concatenate([[0], np.bincount(buckets, minlength=300).cumsum()])
    assert np.array_equal(draw.edges(), edges)


def test_the_order_is_that_of_the_first_release():
    """Another digest would mean another order of every user's rows."""
    for sizes, digest in (({}, "9fe03dc53527e21d"), ({"bucket_bytes": 5000}, "25d803a4fa44a4f2")):
        found = shuffle(numbered(20_000), seed=20250130, **sizes)
        assert hashlib.sha256(found.tobytes()).hexdigest()[:16] == digest


def test_a_row_may_be_larger_than_a_bucket_and_than_the_memory_for_waiting_rows():
    found = shuffle(numbered(20, width=5000), seed=1, bucket_bytes=64, waiting_bytes=64)
    assert found["target"][:, 0].tolist() != list(range(20))
    assert (found["features"] == found["target"]).all()


@pytest.mark.parametrize(
    ("start", "rows", "message"),
    [
        (4, numbered(3), "rows 4 to 7, but row 5 of 10 is next"),
        (6, numbered(3), "rows 6 to 9, but row 5 of 10 is next"),
        (5, numbered(6), "rows 5 to 11, but row 5 of 10 is next"),
        (5, numbered(3, width=2), r"rows of .*, \(2,\)"),
    ],
)
def test_rows_that_do_not_follow_are_refused(start, rows, message):
    writer = InMemory(RecordLayout(numbered(1).dtype, (), 10))
    places = UniformPlaces(BucketDraw(seed=0, rows=10, buckets=1))
    ordered = ShuffledWriter(writer, places, BytesIO())
    ordered.write(0, numbered(5))
    with pytest.raises(ValueError, match=message):
        ordered.write(start, rows)


def test_missing_rows_are_noticed():
    writer = InMemory(RecordLayout(numbered(1).dtype, (), 10))
    with pytest.raises(ValueError, match="9 rows in a file"), shuffled(writer, 0, "d") as ordered:
        ordered.write(0, numbered(9))
    assert not writer.written


# Files that are left behind


@pytest.fixture
def shuffle_to_file(tmp_path):
    """Return a function that writes 1,000 rows in many buckets, and can be stopped halfway."""

    def shuffle_to_file(stopped_by=None, record_writer=None):
        records, path = numbered(1000), tmp_path / "data.npy"
        with (
            create(path, records.dtype, len(records)) as writer,
            shuffled(
                record_writer or writer, 1, path, bucket_bytes=512, waiting_bytes=512
            ) as ordered,
        ):
            ordered.write(0, records[:500])
            if stopped_by:
                raise stopped_by
            ordered.write(500, records[500:])

    return shuffle_to_file


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_only_the_record_file_is_left(tmp_path, shuffle_to_file):
    before = open_files()
    shuffle_to_file()
    assert os.listdir(tmp_path) == ["data.npy"]
    assert open_files() == before
    assert np.array_equal(np.sort(np.load(tmp_path / "data.npy")["target"][:, 0]), np.arange(1000))


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_no_file_is_left_after_a_stop_while_rows_arrive(tmp_path, shuffle_to_file, stop):
    before = open_files()
    with pytest.raises(stop):
        shuffle_to_file(stopped_by=stop())
    assert os.listdir(tmp_path) == []
    assert open_files() == before


def test_no_file_is_left_after_a_stop_while_buckets_are_written(tmp_path, shuffle_to_file):
    class Stopped(InMemory):
        def write(self, start, rows):
            if start > 500:
                raise KeyboardInterrupt

    before = open_files()
    with pytest.raises(KeyboardInterrupt):
        shuffle_to_file(record_writer=Stopped(RecordLayout(numbered(1).dtype, (), 1000)))
    assert os.listdir(tmp_path) == []
    assert open_files() == before


def test_a_disk_without_space_for_a_second_copy_is_an_error_before_the_first_row(tmp_path):
    writer = InMemory(RecordLayout(np.dtype("<f8"), (), 10**13))
    with (
        pytest.raises(UserError, match=r"data\.npy: 80,000,000,000,000 bytes are.*`shuffle_once`"),
        shuffled(writer, 0, tmp_path / "data.npy"),
    ):
        pytest.fail("a row could be written")
    assert os.listdir(tmp_path) == []


MEASUREMENT = """
import sys
import numpy as np
from memtrain.data.external_shuffle import shuffled
from memtrain.data.record_file import create, record_dtype

def most_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

rows, width, mib = (int(argument) for argument in sys.argv[1:])
dtype = record_dtype(features=("u1", width), target=("u1", 1))
piece = np.zeros(min(rows, (1 << 20) // dtype.itemsize), dtype)
before = most_kib()
with (
    create("data.npy", dtype, rows) as writer,
    shuffled(writer, 1, "data.npy", bucket_bytes=mib << 20, waiting_bytes=mib << 20) as ordered,
):
    for start in range(0, rows, len(piece)):
        ordered.write(start, piece[: rows - start])
print(most_kib() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [3, 100, 60_000])
def test_memory_holds_a_bucket_and_not_the_rows(tmp_path, repository, width):
    rows_mib, held_mib = 42, 4
    arguments = [(rows_mib << 20) // (width + 1), width, held_mib]
    used_kib = subprocess.check_output(
        [sys.executable, "-c", MEASUREMENT, *map(str, arguments)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository / "scripts")},
        stderr=subprocess.DEVNULL,
    )
    # Waiting rows, one bucket (which may be larger than the average), and memory of Python.
    assert held_mib <= int(used_kib) >> 10 < 3 * held_mib + 8 < rows_mib / 2
