"""Manifests: shards and their parts on disk, and errors for a file that was not indexed."""

import hashlib
import os
import sys

import blake3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_statistics import merge_all
from memtrain.data.indexing import auto_rows_per_shard, index_shards
from memtrain.data.manifest import Manifest, part_paths
from memtrain.data.record_file import RecordLayout, create, read_record_layout
from memtrain.data.shard_parts import part_path
from memtrain.data.shard_summaries import summarize_rows
from memtrain.system import checked_json

ROWS = 300


@pytest.fixture
def data(write_rows):
    generator = np.random.default_rng(0)
    return write_rows(
        generator.random((ROWS, 3), dtype=np.float32), generator.integers(0, 4, (ROWS, 1))
    )


@pytest.mark.slow
@given(
    rows=st.integers(1, 5000),
    rows_per_shard=st.integers(1, 6000),
    seed=st.integers(0, 99),
    labels=st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_shards_cover_the_file_and_merge_to_its_statistics(
    tmp_path_factory, rows, rows_per_shard, seed, labels
):
    generator = np.random.default_rng(seed)
    array = np.zeros(
        rows, [("features", "<f4", (3,)), ("target", "<i8" if labels else "<f4", (1,))]
    )
    array["features"], array["target"] = generator.random((rows, 3)), generator.integers(9)
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, array)
    manifest = index_shards(path, rows_per_shard)
    assert [row for shard in manifest.shards for row in range(*shard.rows)] == list(range(rows))
    for shard in manifest.shards:
        content = array[shard.rows.start : shard.rows.end].tobytes()
        assert shard.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    for name in ("features", "target"):
        whole = merge_all([shard.statistics[name] for shard in manifest.shards])
        values = array[name].astype(np.float64)
        assert whole.count.tolist() == [rows] * values.shape[1]
        assert np.allclose(whole.mean, values.mean(axis=0), rtol=1e-12)
        assert np.allclose(whole.m2, values.var(axis=0) * rows, rtol=1e-9, atol=1e-12)
        assert np.array_equal(whole.minimum, values.min(axis=0))
        assert np.array_equal(whole.maximum, values.max(axis=0))


def files(path):
    """Return the content of a manifest and of its parts."""
    return [file.read_bytes() for file in (path, *part_paths(path, Manifest.read(path)))]


def test_the_manifest_does_not_depend_on_threads(data, tmp_path):
    for threads in (1, 4):
        index_shards(data, 17, threads=threads).write(tmp_path / f"{threads}/m.json")
    assert files(tmp_path / "1/m.json") == files(tmp_path / "4/m.json")


def test_a_manifest_reads_back_as_it_was_written(data, tmp_path):
    manifest = index_shards(data, 64)
    manifest.write(tmp_path / "m.json")
    again = Manifest.read(tmp_path / "m.json")
    assert again.layout == manifest.layout
    again.write(tmp_path / "again/m.json")
    assert files(tmp_path / "m.json") == files(tmp_path / "again/m.json")


def test_a_part_of_other_bytes_is_refused(data, tmp_path):
    index_shards(data, 64).write(tmp_path / "m.json")
    part = part_path(tmp_path / "m.json", 0)
    part.write_text(part.read_text().replace('"id": 1', '"id": 7'))
    with pytest.raises(UserError, match=r"part-00000\.json: .*not those that were written"):
        list(Manifest.read(tmp_path / "m.json").shards)


@pytest.fixture
def in_parts(tmp_path):
    """Return rows and their manifest of 2,500 shards, written in three parts."""
    rows = np.random.default_rng(0).random((5000, 1), dtype=np.float32)
    np.save(tmp_path / "rows.npy", rows)
    index_shards(tmp_path / "rows.npy", 2).write(tmp_path / "m.json")
    return rows, tmp_path / "m.json"


@pytest.mark.slow
def test_only_the_parts_that_are_needed_are_read(in_parts):
    rows, path = in_parts
    whole = Manifest.read(path)
    assert len(part_paths(path, whole)) == 3
    assert [shard.rows for shard in whole.shards] == [Range(n, n + 2) for n in range(0, 5000, 2)]
    assert whole.shards[1023:1026] == [whole.shards[number] for number in (1023, 1024, 1025)]
    for part in (0, 2):
        part_path(path, part).unlink()
    manifest = Manifest.read(path)
    data = path.parent / "rows.npy"
    for piece in manifest.pieces(data, [Range(2049, 2052), Range(4000, 4096)]):
        content = rows[slice(*piece.rows)].tobytes()
        assert piece.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    with pytest.raises(UserError, match=r"part-00000\.json.*index_shards"):
        manifest.shards[0]


@pytest.mark.slow
@pytest.mark.parametrize("content", ["{", "{}", '{"shards": []}'])
def test_a_damaged_part_is_an_error_that_names_it(in_parts, content):
    _, path = in_parts
    part_path(path, 1).write_text(content)
    with pytest.raises(UserError, match=r"part-00001\.json: .* run index_shards again"):
        Manifest.read(path).shards[1024]


def test_shards_by_blake3(data, tmp_path):
    index_shards(data, 64, algorithm="blake3").write(tmp_path / "m.json")
    manifest = Manifest.read(tmp_path / "m.json")
    rows = np.load(data)
    for piece in manifest.pieces(data, [Range(0, 100)]):
        expected = blake3.blake3(rows[slice(*piece.rows)].tobytes()).hexdigest()
        assert piece.digest == f"blake3:{expected}"
    manifest.check_belongs_to(data, "m.json")
    rows["features"][3] = 0
    refuse(manifest, changed(rows, tmp_path), "bytes of shard 0 (rows [0, 64))")


def changed(rows, folder):
    with create(folder / "changed.npy", rows.dtype, len(rows)) as writer:
        writer.write(0, rows)
    return folder / "changed.npy"


def test_missing_blake3_is_an_error_that_says_how_to_install_it(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(UserError, match=r"pip install -r envs/requirements-blake3\.txt"):
        index_shards(data, 64, algorithm="blake3")


@given(start=st.integers(0, ROWS - 1), length=st.integers(1, ROWS))
@settings(deadline=None, max_examples=30)
def test_pieces_are_exactly_the_rows_of_a_range(tmp_path_factory, start, length):
    array = np.random.default_rng(0).random((ROWS, 2))
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, array)
    manifest = index_shards(path, 50)
    wanted = Range(start, min(ROWS, start + length))
    pieces = manifest.pieces(path, [wanted])
    assert [row for piece in pieces for row in range(*piece.rows)] == list(range(*wanted))
    for piece in pieces:
        content = array[slice(*piece.rows)].tobytes()
        assert piece.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    mean = merge_all([piece.statistics["row"] for piece in pieces]).mean
    assert np.allclose(mean, array[slice(*wanted)].mean(axis=0), rtol=1e-12)


def test_a_whole_shard_and_the_same_rows_as_an_edge_have_the_same_bits(tmp_path):
    array = np.random.default_rng(0).random((9000, 5), dtype=np.float32)
    np.save(tmp_path / "short.npy", array[:8500])
    np.save(tmp_path / "long.npy", array)
    shard = index_shards(tmp_path / "short.npy", 4000).shards[-1]
    layout = read_record_layout(tmp_path / "long.npy")
    edge = summarize_rows(tmp_path / "long.npy", layout, shard.rows)
    assert edge.digest == shard.digest
    assert edge.statistics["row"].to_json() == shard.statistics["row"].to_json()


def test_automatic_shards_depend_on_the_size_of_a_row_alone():
    sizes = [
        auto_rows_per_shard(RecordLayout(np.dtype("<f4"), (21,), rows)) for rows in (10, 10**9)
    ]
    assert sizes == [1 << 17, 1 << 17]
    assert auto_rows_per_shard(RecordLayout(np.dtype("<f4"), (1 << 30,), 3)) == 1


def refuse(manifest, data, *expected):
    with pytest.raises(UserError) as caught:
        manifest.check_belongs_to(data, "manifest.json")
    for part in (str(data), *expected):
        assert part in str(caught.value)


def test_a_file_that_is_not_the_indexed_one_is_refused(data, write_rows):
    manifest = index_shards(data, 64)
    manifest.check_belongs_to(data, "manifest.json")
    zeros = np.zeros((ROWS, 3), np.float32)
    grown = write_rows(np.zeros((ROWS + 1, 3), np.float32), np.zeros(ROWS + 1, np.int64), "grown")
    refuse(manifest, grown, "rows 301", "rows 300", "manifest.json", "Run index_shards again")
    other = write_rows(zeros, np.zeros(ROWS, np.float32), "other")
    refuse(manifest, other, "dtype", "index_shards")
    same_shape = write_rows(zeros, np.zeros(ROWS, np.int64), "same")
    refuse(manifest, same_shape, "bytes of shard 0 (rows [0, 64))")
    os.truncate(data, data.stat().st_size - 1)
    refuse(manifest, data, "cut short")


def test_a_damaged_manifest_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "m.json"
    for content in ("{", "{}", '{"file": {}, "shards": 3}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"m\.json: .* [Rr]un index_shards again"):
            Manifest.read(path)
    checked_json.write(path, {"file": {}, "shards": 3})
    with pytest.raises(UserError, match=r"m\.json: .* run index_shards again"):
        Manifest.read(path)


def test_a_file_without_rows_is_refused(tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    with pytest.raises(UserError, match="no rows"):
        index_shards(tmp_path / "none.npy")
