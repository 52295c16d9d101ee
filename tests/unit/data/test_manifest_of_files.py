"""Manifests of rows in many files: no shard holds rows of two files."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.indexing import index_shards
from memtrain.data.manifest import Manifest
from memtrain.data.streams.row_addresses import Consecutive, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream

LENGTHS = [25, 7, 40]


def write_parts(folder, lengths, name="part"):
    """Write files of a stream of uint16 that counts up, and return the stream."""
    borders = np.cumsum([0, *lengths]).tolist()
    files = []
    for number, (start, end) in enumerate(pairwise(borders)):
        path = Path(folder) / f"{name}-{number}.bin"
        path.write_bytes(b"head" + np.arange(start, end, dtype="<u2").tobytes())
        files.append((str(path), path.stat().st_size, [(4, end - start)]))
    return Stream.of_parts(files, np.dtype("<u2"))


def describe(path, *fields):
    """Write the description of fields, and return its path."""
    views = {field.name: FieldView(stored=field.name) for field in fields}
    FilesLayout(fields, views).write(path)
    return path


def consecutive(folder, lengths, name="part"):
    stream = write_parts(folder, lengths, name)
    return StoredField(name, stream, Consecutive(stream.elements))


def digests(manifest):
    return [shard.digest for shard in manifest.shards]


def test_shards_begin_anew_at_each_file(tmp_path):
    data = describe(tmp_path / "rows.json", consecutive(tmp_path, LENGTHS))
    index_shards(data, 10).write(tmp_path / "manifest.json")
    manifest = Manifest.read(tmp_path / "manifest.json")
    expected = [(0, 10), (10, 20), (20, 25), (25, 32), (32, 42), (42, 52), (52, 62), (62, 72)]
    assert [tuple(shard.rows) for shard in manifest.shards] == expected
    values = np.arange(72, dtype="<u2")
    for shard in manifest.shards:
        content = values[slice(*shard.rows)].tobytes()
        assert shard.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert manifest.touched_shards([Range(24, 33)]) == [2, 3, 4]
    pieces = manifest.pieces(data, [Range(22, 34)])
    assert [tuple(piece.rows) for piece in pieces] == [(22, 25), (25, 32), (32, 34)]
    assert pieces[1].digest == manifest.shards[3].digest
    manifest.check_belongs_to(data, "manifest.json")


def test_a_file_changes_its_own_shards_and_appended_files_none(tmp_path):
    data = describe(tmp_path / "rows.json", consecutive(tmp_path, LENGTHS))
    before = index_shards(data, 10)
    middle = tmp_path / "part-1.bin"
    middle.write_bytes(middle.read_bytes()[:-2] + b"xx")
    changed = index_shards(data, 10)
    pairs = zip(digests(before), digests(changed), strict=True)
    assert [number for number, (old, new) in enumerate(pairs) if old != new] == [3]
    more = describe(tmp_path / "more.json", consecutive(tmp_path, [*LENGTHS, 30]))
    assert digests(index_shards(more, 10))[:8] == digests(before)


def test_a_file_that_grows_leaves_the_shards_of_the_others(tmp_path):
    data = describe(tmp_path / "rows.json", consecutive(tmp_path, LENGTHS))
    before = digests(index_shards(data, 10))
    grown = [25, 7 + 5, 40]
    stream = consecutive(tmp_path, grown)
    values = np.arange(32, 72, dtype="<u2")
    (tmp_path / "part-2.bin").write_bytes(b"head" + values.tobytes())
    after = digests(index_shards(describe(tmp_path / "grown.json", stream), 10))
    assert after[:3] == before[:3]
    assert after[-4:] == before[-4:]


def test_fields_side_by_side_are_cut_at_the_files_of_each(tmp_path):
    fields = [consecutive(tmp_path, [25, 35], "x"), consecutive(tmp_path, [40, 20], "y")]
    manifest = index_shards(describe(tmp_path / "rows.json", *fields), 100)
    assert [tuple(shard.rows) for shard in manifest.shards] == [(0, 25), (25, 40), (40, 60)]


def test_windows_across_files_belong_to_the_file_where_they_begin(tmp_path):
    stream = write_parts(tmp_path, [20, 20])
    windows = Windows(8, 8, np.array([0, 40]))
    data = describe(tmp_path / "rows.json", StoredField("tokens", stream, windows))
    manifest = index_shards(data, 100)
    assert [tuple(shard.rows) for shard in manifest.shards] == [(0, 3), (3, 5)]


def test_files_that_were_laid_out_otherwise_are_refused(tmp_path):
    data = describe(tmp_path / "rows.json", consecutive(tmp_path, LENGTHS))
    manifest = index_shards(data, 10)
    other = describe(tmp_path / "other.json", consecutive(tmp_path, [25, 47]))
    with pytest.raises(UserError, match=r"other\.json: .*Run index_shards again"):
        manifest.check_belongs_to(other, "manifest.json")
