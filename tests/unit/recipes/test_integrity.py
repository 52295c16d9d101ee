"""Rows that no longer have their digest are found, and an error names their shards."""

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.shard_grid import ShardGrid
from memtrain.data.indexing import index_shards
from memtrain.data.record_file import read_record_layout
from memtrain.data.row_digests import digest_rows
from memtrain.recipes.integrity import check_pieces, corrupt_pieces
from memtrain.recipes.recipe import Piece

SHARD = 10


@pytest.fixture
def data(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(95, dtype=np.float32).reshape(95, 1))
    return tmp_path / "rows.npy"


def overwrite(data, row, value):
    rows = np.load(data, mmap_mode="r+")
    rows[row] = value
    rows.flush()


def pieces_of(manifest):
    return [Piece(start=s.rows.start, end=s.rows.end, digest=s.digest) for s in manifest.shards]


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_pieces_and_shards_with_other_bytes_are_found(data, algorithm):
    manifest = index_shards(data, SHARD, algorithm=algorithm)
    pieces = pieces_of(manifest)
    assert corrupt_pieces(data, pieces) == []
    overwrite(data, 42, -1)
    overwrite(data, 94, -1)
    assert corrupt_pieces(data, pieces) == [pieces[4], pieces[9]]
    assert [shard.rows for shard in corrupt_pieces(data, manifest.shards)] == [(40, 50), (90, 95)]


def test_a_piece_past_the_end_is_corrupt(data):
    pieces = pieces_of(index_shards(data, SHARD))
    np.save(data, np.load(data)[:90])
    assert corrupt_pieces(data, pieces) == pieces[9:]


def test_the_error_names_every_corrupt_shard(data):
    pieces = pieces_of(index_shards(data, SHARD))
    assert check_pieces(data, pieces, "all", ShardGrid(SHARD)) == 10
    overwrite(data, [3, 42], -1)
    with pytest.raises(UserError, match=r"shards 0 \(rows \[0, 10\)\), 4 \(rows \[40, 50\)\)"):
        check_pieces(data, pieces, "all", ShardGrid(SHARD))
    assert check_pieces(data, pieces, "none", ShardGrid(SHARD)) == 0


def test_a_sample_is_64_mib_of_a_large_file_and_at_least_one_piece(tmp_path):
    path = tmp_path / "zeros.npy"
    open_memmap(path, "w+", np.float64, (40, 2 << 20))
    digest = digest_rows(path, read_record_layout(path), Range(0, 1))
    rows = [Piece(start=row, end=row + 1, digest=digest) for row in range(40)]
    assert check_pieces(path, rows, "sample", ShardGrid(1)) == 4
    overwrite(path, 0, 1)
    with pytest.raises(UserError, match="the bytes of shard"):
        check_pieces(path, rows[:1], "sample", ShardGrid(1))


@pytest.mark.slow
def test_a_sample_of_a_piece_that_is_larger_than_a_sample_is_that_piece(tmp_path):
    path = tmp_path / "zeros.npy"
    open_memmap(path, "w+", np.float64, (1, 9 << 20))
    (whole,) = pieces_of(index_shards(path, 1))
    assert check_pieces(path, [whole], "sample", ShardGrid(1)) == 1
