"""The index a group of files at a time: only groups whose files changed are read again."""

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

import index_shards
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data import file_groups as groups_module
from memtrain.data import group_index
from memtrain.data.file_groups import file_groups, files_of_rows, rows_digest
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.indexing import index_shards as index_in_memory
from memtrain.data.manifest import Manifest
from memtrain.data.streams.row_addresses import Consecutive, Ragged, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream


def write_file(path, values):
    path.write_bytes(np.asarray(values, "<u4").tobytes())


def layout_of(paths, windows=None):
    files = [
        (str(path), os.path.getsize(path), [(0, os.path.getsize(path) // 4)]) for path in paths
    ]
    stream = Stream.of_parts(files, np.dtype("<u4"))
    addresses = windows(stream) if windows else Consecutive(stream.elements)
    return FilesLayout((StoredField("x", stream, addresses),), {"x": FieldView("x")})


def sparse_layout(names, elements, dtype="<u4"):
    """Return the layout of files that nobody has to write, since only names and sizes matter."""
    stream = Stream.of_parts(
        [(name, elements * 4, [(0, elements)]) for name in names], np.dtype(dtype)
    )
    return FilesLayout(
        (StoredField("x", stream, Consecutive(stream.elements)),), {"x": FieldView("x")}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "megabytes", "fewest", "most"),
    [(1, 1, 1, 1), (100, 1, 1, 1), (1000, 1024, 300, 1000), (100_000, 100, 200, 1000)],
)
def test_groups_are_few_and_cover_all_rows(files, megabytes, fewest, most):
    layout = sparse_layout([f"corpus/part-{n}.bin" for n in range(files)], megabytes << 18)
    groups = file_groups(layout)
    assert fewest <= len(groups) <= most
    assert len({group.name for group in groups}) == len(groups)
    ends = [0, *(group.rows.end for group in groups)]
    assert [group.rows.start for group in groups] == ends[:-1]
    assert ends[-1] == layout.rows


def files_of_groups(names):
    layout = sparse_layout(names, 64 << 20)
    return {one.name: tuple(files_of_rows(layout, one.rows)) for one in file_groups(layout)}


@pytest.mark.parametrize("change", ["append", "insert", "remove"])
def test_groups_stay_where_files_come_and_go(change):
    names = [f"corpus/part-{n:04}.bin" for n in range(400)]
    before = files_of_groups(names)
    changed = {
        "append": [*names, "corpus/part-0400.bin"],
        "insert": [*names[:100], "corpus/part-0099b.bin", *names[100:]],
        "remove": [*names[:100], *names[101:]],
    }[change]
    after = files_of_groups(changed)
    assert len(before) > 50
    assert len(set(after.items()) - set(before.items())) <= 2


def test_the_same_files_listed_twice_are_groups_of_two_names(monkeypatch):
    monkeypatch.setattr(groups_module, "_GROUP_BYTES", 1)
    names = [group.name for group in file_groups(sparse_layout(["a", "b", "a"], 10))]
    assert len(set(names)) == 3


def test_the_digest_of_rows_knows_content_and_places_but_no_paths(tmp_path):
    for name in ("a", "b", "c"):
        write_file(tmp_path / name, range(20))
    digest_of = dict.fromkeys(map(str, tmp_path.iterdir()), "sha256:0").__getitem__

    def windows(length):
        return lambda stream: Windows(length, 5, stream.file_firsts)

    def digest(names, rows, length=5, known=digest_of):
        layout = layout_of([tmp_path / name for name in names], windows(length))
        return rows_digest(layout, rows, known)

    assert digest("ab", Range(0, 4)) == digest("bc", Range(4, 8))
    assert digest("ab", Range(0, 4)) != digest("ab", Range(0, 3))
    assert digest("ab", Range(0, 4)) != digest("ab", Range(1, 5))
    assert digest("ab", Range(0, 4)) != digest("ab", Range(0, 4), length=4)
    assert digest("ab", Range(0, 4)) != digest("ab", Range(0, 4), known=lambda path: "sha256:1")


def test_the_digest_of_ragged_rows_knows_their_lengths(tmp_path):
    write_file(tmp_path / "a", range(20))

    def digest(offsets, rows):
        layout = layout_of(
            [tmp_path / "a"], lambda stream: Ragged.described(np.array(offsets), stream.elements)
        )
        return rows_digest(layout, rows, lambda path: "sha256:0")

    assert digest([0, 3, 9, 20], Range(0, 2)) == digest([0, 3, 9, 15], Range(0, 2))
    assert digest([0, 3, 9, 20], Range(0, 2)) != digest([0, 4, 9, 20], Range(0, 2))


class Project:
    """A folder with five files, each a group of its own."""

    def __init__(self, folder):
        self.paths = [folder / f"part-{number}.bin" for number in range(5)]
        for number, path in enumerate(self.paths):
            write_file(path, range(100 * number, 100 * number + 30))

    def index(self, *arguments):
        layout_of(self.paths).write("rows.json")
        files = ["--data", "rows.json", "--manifest", "out/manifest.json", "--known", "known.json"]
        return index_shards.main([*files, "--rows-per-shard", "8", *arguments])

    def written(self):
        """Return when each file of a part was written last."""
        return {path.name: path.stat().st_mtime_ns for path in Path("out/manifest").glob("*.json")}

    def check(self):
        """Compare the manifest with the one of all rows at once."""
        manifest = Manifest.read("out/manifest.json")
        expected = index_in_memory("rows.json", 8)
        assert [one.rows for one in manifest.shards] == [one.rows for one in expected.shards]
        assert [one.digest for one in manifest.shards] == [one.digest for one in expected.shards]
        for one, other in zip(manifest.shards, expected.shards, strict=True):
            assert one.statistics["x"].to_json() == other.statistics["x"].to_json()
        manifest.check_belongs_to("rows.json", "out/manifest.json")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(groups_module, "_GROUP_BYTES", 1)
    project = Project(Path())
    project.index()
    assert len(project.written()) == 5
    return project


def again(project):
    """Index again, and return how many parts were written."""
    before = project.written()
    project.index()
    after = project.written()
    assert len(after) == len(project.paths)
    project.check()
    return len(set(after.items()) - set(before.items()))


def test_nothing_is_read_again_where_nothing_changed(project, capsys):
    project.check()
    assert again(project) == 0
    assert "5 of 5 groups of files are unchanged" in capsys.readouterr().out


def test_a_changed_an_added_and_a_removed_file_read_only_themselves(project):
    write_file(project.paths[2], range(30))
    assert again(project) == 1
    write_file(Path("part-1b.bin"), range(7))
    project.paths.insert(2, Path("part-1b.bin"))
    assert again(project) == 1
    del project.paths[0]
    assert again(project) == 0
    write_file(project.paths[0], range(50))
    assert again(project) == 1


def test_a_damaged_part_is_made_again(project):
    part = sorted(Path("out/manifest").glob("*/part-00000.json"))[2]
    part.write_text(part.read_text().replace("sha256:", "sha256:0", 1))
    project.index()
    project.check()


def test_groups_that_were_indexed_apart_make_the_same_manifest(project):
    whole = {path: path.read_bytes() for path in Path("out").rglob("*.json")}
    names = [path.stem for path in Path("out/manifest").glob("*.json")]
    for path in whole:
        path.unlink()
    for name in names:
        project.index("--group", name)
    assert not Path("out/manifest.json").exists()
    written = project.written()
    project.index()
    assert project.written() == written
    assert {path: path.read_bytes() for path in Path("out").rglob("*.json")} == whole


def test_parts_hold_few_shards_where_these_have_many_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_file(Path("a.bin"), range(4000))
    wide = layout_of(["a.bin"], lambda stream: Windows(2000, 100, stream.file_firsts))
    wide.write("rows.json")  # One column of statistics for all positions of a window.
    monkeypatch.setattr(group_index, "_COLUMNS_PER_PART", 3)
    files = ["--data", "rows.json", "--manifest", "m.json", "--rows-per-shard", "4"]
    index_shards.main(files)
    found = [len(json.loads(path.read_text())["shards"]) for path in sorted(Path("m").glob("*/*"))]
    assert found == [3, 3]
    manifest = Manifest.read("m.json")
    assert [tuple(one.rows) for one in manifest.shards] == [
        (start, min(start + 4, 21)) for start in range(0, 21, 4)
    ]


def test_digests_of_whole_files_are_noted(project):
    time.sleep(2.1)  # Younger files are not noted.
    Path("out/manifest.json").unlink()
    project.index()
    notes = json.loads(Path("known.json").read_text())["files"]
    for path in project.paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert notes[str(path)][-1] == f"sha256:{digest}"


def test_groups_that_there_are_not_are_refused(project, tmp_path):
    names = sorted(path.stem for path in Path("out/manifest").glob("*.json"))
    with pytest.raises(UserError, match=f"--group x: rows.json has the groups.*{names[0]}"):
        project.index("--group", "x")
    np.save("plain.npy", np.zeros((3, 2)))
    with pytest.raises(UserError, match="its rows lie in one file"):
        index_shards.main(["--data", "plain.npy", "--manifest", "m.json", "--group", "x"])
