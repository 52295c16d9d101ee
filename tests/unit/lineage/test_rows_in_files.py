"""Questions about rows in many files: by file, by bytes, by elements and by documents."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

import lineage
from memtrain.config.dataset import MockSettings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.indexing import index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.data.streams.row_addresses import Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.lineage.records.run_record import FileUse
from memtrain.recipes.withdrawals import read_withdrawals
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.system.digests import digest_of_file
from tests.unit.lineage.lineage_records import rows
from tests.unit.lineage.test_models_on_disk import Project

DATA = "results/d/rows.json"


class FilesProject(Project):
    """Windows of 8 of the elements of four files, which overlap by half.

    Documents end after every 25 elements of a file, and where files end.
    """

    data = DATA

    def __init__(self, folder):
        super().__init__(folder)
        (folder / "corpus").mkdir()
        self.paths = [f"corpus/part-{number}.bin" for number in range(4)]
        for number, path in enumerate(self.paths):
            self.write(path, np.arange(100) + 1000 * number)
        mock = write_mock_data(folder / "mock.npy", MockSettings(rows=10, features=2))
        mock.made_of({}, folder / "mock.npy").write(self.results.source)
        self.describe()
        index_shards(DATA, 8).write(self.results.manifest)
        self.records.add("train", [rows(DATA, (0, 10))], [], "a")

    def write(self, path, values):
        (self.folder / path).write_bytes(b"head" + values.astype("<u2").tobytes())

    def describe(self, length=8, stride=4):
        files = [
            (path, os.path.getsize(path), [(4, (os.path.getsize(path) - 4) // 2)])
            for path in self.paths
        ]
        stream = Stream.of_parts(files, np.dtype("<u2"))
        borders = {*range(0, stream.elements, 25), *stream.file_firsts.tolist()}
        windows = Windows(length, stride, np.array(sorted(borders)))
        self.windows = windows
        self.values = np.concatenate([np.fromfile(path, "<u2", offset=4) for path in self.paths])
        FilesLayout(
            (StoredField("tokens", stream, windows),), {"features": FieldView("tokens")}
        ).write(DATA)

    def rows_with(self, values):
        """Return the rows that hold one of some values, by a look at all of them."""
        starts = self.windows.starts(np.arange(self.windows.rows))
        windows = [self.values[start : start + self.windows.length] for start in starts]
        return [row for row, window in enumerate(windows) if set(window.tolist()) & set(values)]

    def withdrawn(self):
        listed = read_withdrawals("withdrawals.yaml", "d")
        found = WithdrawnRows(listed, self.folder / "withdrawals.yaml", self.results).find()
        return [row for one in found for row in range(*one)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return FilesProject(tmp_path)


def answer(capsys, *arguments, status=0):
    assert lineage.main([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def withdraw(*arguments):
    return lineage.main(["withdraw", *arguments, "--reason", "asked"])


@pytest.mark.parametrize(
    ("arguments", "splits"),
    [
        (["corpus/part-0.bin"], {"a", "b", "old"}),
        (["./corpus/../corpus/part-0.bin", "--bytes", "4:6"], {"a", "old"}),
        (["corpus/part-1.bin"], {"b"}),
        (["corpus/part-3.bin"], set()),
        (["corpus/part-1.bin", "--elements", "0:1"], {"b"}),
        (["--elements", "100:101"], {"b"}),
        (["corpus/part-1.bin", "--document", "0"], {"b"}),
        (["--document", "1"], {"a", "old"}),
        (["corpus/part-1.bin", "--document", "3"], set()),
    ],
)
def test_impact_of_a_place_is_that_of_its_rows(project, capsys, arguments, splits):
    project.resolve("b", 18)
    project.train("b", project.resolve("b", 18))
    found = answer(capsys, "impact", *arguments)
    assert {one["path"].split("/")[3] for one in found if one["role"] == "model"} == splits


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["corpus/part-9.bin", "--bytes", "0:1"], "part-9.bin: no rows lie in this file."),
        (["corpus/part-1.bin", "--bytes", "0:4"], "bytes [0, 4): no row has any of these bytes"),
        (["corpus/part-1.bin", "--bytes", "900:901"], "it has 204 bytes"),
        (["corpus/part-1.bin", "--elements", "100:101"], "there are 100 elements"),
        (["corpus/part-1.bin", "--document", "4"], "there are 4 documents, which are counted"),
        (["--document", "16"], "there are 16 documents"),
        (["--document", "1", "--field", "x"], "no field is called so"),
        (["--bytes", "0:1"], "are those of a file"),
        (["--rows", "1", "--bytes", "0:1"], "go with a file or alone, not with --rows"),
        (["--digest", "123456", "--bytes", "0:1"], "does not go with --digest"),
        (["nothing.bin"], "nothing.bin: no record names this file"),
        ([], "no rows are named"),
    ],
)
def test_places_that_are_not_there_are_told(project, caplog, arguments, told):
    assert lineage.main(["impact", *arguments]) == 2
    assert told in caplog.text


def test_a_record_file_has_no_documents(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    write_mock_data(project.results.data, MockSettings(rows=100, features=2))
    assert lineage.main(["impact", "--document", "1"]) == 2
    assert "document 1: rows lie in one record file here" in caplog.text


def test_a_withdrawn_document_takes_out_every_window_that_touches_it(project, capsys):
    assert withdraw("corpus/part-1.bin", "--document", "2") == 0
    out = capsys.readouterr().out
    assert "rows with any of corpus/part-1.bin, bytes [104, 154)" in out
    assert project.withdrawn() == project.rows_with(range(1050, 1075))


def test_a_withdrawn_row_takes_out_the_windows_that_overlap_it(project):
    assert withdraw("--rows", "22") == 0
    start = int(project.windows.starts(np.array([22]))[0])
    values = project.values[start : start + 8].tolist()
    assert project.withdrawn() == project.rows_with(values)
    assert len(project.withdrawn()) > 1


def test_withdrawn_bytes_stay_withdrawn_however_rows_are_cut_and_numbered(project):
    assert withdraw("corpus/part-2.bin", "--elements", "10:12") == 0
    assert project.withdrawn() == project.rows_with([2010, 2011])
    project.describe(length=5, stride=3)
    assert project.withdrawn() == project.rows_with([2010, 2011])
    project.write("corpus/part-0b.bin", np.arange(60) + 5000)
    project.paths.insert(1, "corpus/part-0b.bin")
    project.describe()
    assert project.withdrawn() == project.rows_with([2010, 2011])
    project.write("corpus/part-2.bin", np.r_[np.arange(20) + 2000, np.arange(80) + 7000])
    project.describe()
    assert project.withdrawn() == project.rows_with([2010, 2011])


def test_withdrawn_bytes_that_are_not_found_stop_until_they_are_stated_to_be_gone(project):
    assert withdraw("corpus/part-2.bin") == 0
    assert project.withdrawn() == project.rows_with(range(2000, 2100))
    project.write("corpus/part-2.bin", np.arange(100) + 7000)
    with pytest.raises(UserError, match=r"are not found.*part-2\.bin, bytes \[0, 204\).*--gone"):
        project.withdrawn()
    assert withdraw("--gone") == 0
    assert project.withdrawn() == []
    project.write("corpus/part-2.bin", np.arange(100) + 2000)
    assert project.withdrawn() == project.rows_with(range(2000, 2100))


def test_withdrawing_twice_is_refused_and_restoring_undoes_it(project, caplog):
    assert withdraw("corpus/part-2.bin", "--bytes", "4:10") == 0
    assert withdraw("corpus/part-2.bin", "--bytes", "6:8") == 2
    assert "are withdrawn already" in caplog.text
    assert withdraw("corpus/part-2.bin", "--bytes", "6:12") == 0
    listed = yaml.safe_load(Path("withdrawals.yaml").read_text())["d"]
    places = [(one["path"], one["start"], one["end"]) for two in listed for one in two["places"]]
    assert places == [("corpus/part-2.bin", 4, 10), ("corpus/part-2.bin", 6, 12)]
    assert lineage.main(["restore", "--all"]) == 0
    assert project.withdrawn() == []


def test_a_file_of_rows_is_no_result_and_what_was_made_from_it_is_asked_otherwise(project, caplog):
    assert lineage.main(["explain", "corpus/part-0.bin"]) == 2
    assert "no run made it. Rows of results/d/rows.json lie in it" in caplog.text
    assert "`lineage.py impact corpus/part-0.bin`" in caplog.text


@pytest.mark.slow
def test_exports_describe_every_file(project, validate, tmp_path_factory):
    """Paths are those of the configuration, with sizes, digests, and the fields of all files."""
    outside = str(tmp_path_factory.mktemp("outside") / "part.bin")
    project.paths[3] = outside
    project.write(outside, np.arange(100) + 3000)
    project.describe()
    model = str(project.results.split("a").model.relative_to(project.folder))
    digests = {path: digest_of_file(path).removeprefix("sha256:") for path in project.paths}
    wrote = FileUse(model, "model", os.path.getsize(model), 0, digest_of_file(model))
    project.records.add("train", [rows(DATA, (0, 10))], [wrote], "a")

    assert lineage.main(["export", "croissant", "docs/c.json"]) == 0
    status, found = validate("check_croissant.py", "docs/c.json")
    assert status == 0, found
    urls = {path: path if path == outside else f"../{path}" for path in project.paths}
    assert found["sha256"] == {urls[path]: digest for path, digest in digests.items()}
    assert found["fields"] == {"features": ["http://mlcommons.org/croissant/UInt16", "8"]}

    assert lineage.main(["export", "rocrate", "."]) == 0
    graph = json.loads(Path("ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    ids = [*project.paths[:3], f"#file/{outside}"]
    described = next(one for one in graph if one.get("isBasedOn"))
    assert [one["@id"] for one in described["isBasedOn"]] == ids
    assert [entities[one]["@type"] for one in ids] == ["File"] * 3 + ["CreativeWork"]
    assert {entities[one]["contentSize"] for one in ids} == {"204"}


def test_verify_names_file_and_bytes_of_damage(project, capsys):
    data = np.fromfile("corpus/part-1.bin", "u1")
    data[14] ^= 1
    data.tofile("corpus/part-1.bin")
    project.records.add("describe_files", [], [rows(DATA)], None)
    found = answer(capsys, "verify", DATA, status=1)["findings"]
    corrupt = [one for one in found if one["kind"] == "corrupt"]
    assert [one["path"] for one in corrupt] == [DATA]
    assert "corpus/part-1.bin, bytes [4, 86)" in corrupt[0]["message"]
    assert corrupt[0]["details"]["files"] == [["corpus/part-1.bin", 4, 86]]


def test_verify_names_files_that_are_cut_grown_or_gone(project, capsys):
    os.truncate("corpus/part-0.bin", 100)
    with open("corpus/part-1.bin", "ab") as file:
        file.write(b"more")
    os.unlink("corpus/part-2.bin")
    project.records.add("describe_files", [], [rows(DATA)], None)
    found = answer(capsys, "verify", DATA, status=1)["findings"]
    told = {one["path"]: one for one in found if one["path"].startswith("corpus")}
    assert {path: one["kind"] for path, one in told.items()} == {
        "corpus/part-0.bin": "changed",
        "corpus/part-1.bin": "changed",
        "corpus/part-2.bin": "missing",
    }
    assert "cut at byte 100" in told["corpus/part-0.bin"]["message"]
    assert "goes on after byte 204" in told["corpus/part-1.bin"]["message"]
    shards = [one["details"]["shard"] for one in found if one["kind"] == "corrupt"]
    assert shards == list(range(9))


def test_explain_names_the_files_and_bytes_of_rows(project, capsys):
    model = "results/d/splits/b/model.safetensors"

    def use(path, role, **more):
        found = os.stat(path)
        return FileUse(path, role, found.st_size, found.st_mtime_ns, **more)

    described = use(DATA, "rows", digest=digest_of_file(DATA), rows={"": [Range(0, 80)]})
    project.records.add("describe_files", [], [described])
    read = use(DATA, "rows", rows={"": [Range(18, 28)]})
    wrote = use(model, "model", digest=digest_of_file(model))
    project.records.add("train", [read], [wrote], "b")
    [data] = answer(capsys, "explain", model)["tree"]["inputs"]
    assert data["rows"] == [[18, 28]]
    assert data["files"] == [
        "corpus/part-0.bin, bytes [178, 204)",
        "corpus/part-1.bin, bytes [4, 86)",
    ]
    project.describe(length=5)
    [data] = answer(capsys, "explain", model)["tree"]["inputs"]
    assert data["files"] == []
    assert data["note"] == "the rows were described anew since"
