"""Tests of digests that are known without reading the file again."""

import os
import time

import pytest

from memtrain.core.errors import UserError
from memtrain.system.digests import digest_of_file
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests


class Reads:
    """Counts the files that are read."""

    def __init__(self):
        self.paths = []

    def __call__(self, path, size_bytes):
        self.paths.append(path)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.npy"
    path.write_bytes(b"rows")
    make_old(path)
    return path


def make_old(path):
    """Wait until the change of a file is old enough to be noted."""
    os.utime(path, (1e9, 1e9))
    time.sleep(max(0.0, os.stat(path).st_ctime + 2.1 - time.time()))


class Known(KnownDigests):
    """Known digests, with their notes, and the files that were read."""

    def __init__(self, file, **options):
        self.notes, self.reads = FileNotes(file.parent / "state/files.json"), Reads()
        super().__init__(self.notes, on_read=self.reads, **options)


def known(file, **options):
    digests = Known(file, **options)
    return digests, digests.reads


def test_a_file_is_read_once_and_again_after_a_change_of_any_kind(file):
    first, reads = known(file)
    assert first.digest(file) == digest_of_file(file)
    assert first.digest(file) == digest_of_file(file)
    first.notes.save()
    assert reads.paths == [file]

    later, reads = known(file)
    assert later.digest(file) == digest_of_file(file)
    assert reads.paths == []

    # Other bytes of the same length, and the time of the last change is put back.
    before = os.stat(file)
    file.write_bytes(b"ROWS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed, reads = known(file)
    assert changed.digest(file) == digest_of_file(file)
    assert reads.paths == [file]


def test_a_file_that_changed_just_now_is_not_noted(file):
    file.write_bytes(b"new")
    first, _ = known(file)
    first.digest(file)
    first.notes.save()
    again, reads = known(file)
    again.digest(file)
    assert reads.paths == [file]


def test_at_most_so_many_bytes_are_read(file):
    limited, reads = known(file, most_bytes=3)
    assert limited.digest(file) is None
    assert limited.unread == {file: 4}
    assert reads.paths == []
    enough, _ = known(file, most_bytes=4)
    assert enough.digest(file) == digest_of_file(file)


@pytest.mark.parametrize("notes", ["", "[]", '{"files": 1}', '{"files": {"a": [1, "x"]}}', "\0"])
def test_damaged_notes_are_none(file, notes):
    (file.parent / "state").mkdir()
    (file.parent / "state/files.json").write_text(notes)
    damaged, _ = known(file)
    assert damaged.digest(file) == digest_of_file(file)


def test_a_missing_file_is_named(file):
    one, _ = known(file)
    with pytest.raises(UserError, match=r"gone\.npy: the file cannot be read"):
        one.digest(file.parent / "gone.npy")
