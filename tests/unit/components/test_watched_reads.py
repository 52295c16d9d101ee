"""Files that code of the user's own reads are declared, or are errors."""

import shutil
import sys

import numpy as np
import pytest

from memtrain.core.errors import UserError
from tests.trainings import Training

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((60, 4), dtype=np.float32)
TARGET = FEATURES.sum(axis=1)

OWN = """
import sqlite3
import tempfile
import threading
import time
import zoneinfo
from pathlib import Path

import numpy as np
import torch
from torch import nn

LATE = None


def by_open():
    return len(Path("data/x.txt").read_text())


def by_path_of_other_folder():
    with open("data/../data/x.txt", "rb") as file:
        return len(file.read())


def by_numpy():
    return float(np.load("data/x.npy").sum())


def by_numpy_map():
    return float(np.load("data/x.npy", mmap_mode="r").sum())


def by_fromfile():
    return float(np.fromfile("data/x.npy", np.uint8).sum())


def by_torch():
    return float(torch.load("data/x.pt", weights_only=True).sum())


def by_safe_open():
    from safetensors import safe_open

    with safe_open("data/x.safetensors", framework="np") as file:
        return float(file.get_tensor("x").sum())


def by_safetensors():
    from safetensors.torch import load_file

    return float(load_file("data/x.safetensors")["x"].sum())


def by_parquet():
    import pyarrow.parquet

    return pyarrow.parquet.read_table("data/x.parquet")["x"][0].as_py()


def by_parquet_file():
    from pyarrow.parquet import ParquetFile

    return ParquetFile("data/x.parquet").read()["x"][0].as_py()


def by_dataset():
    from pyarrow.dataset import dataset

    return dataset("data/x.parquet").to_table()["x"][0].as_py()


def by_feather():
    import pyarrow.feather

    return pyarrow.feather.read_table("data/x.feather")["x"][0].as_py()


def by_csv():
    from pyarrow import csv

    return csv.read_csv("data/x.csv")["x"][0].as_py()


def by_memory_map():
    import pyarrow

    return pyarrow.memory_map("data/x.npy").size()


def by_sqlite():
    connection = sqlite3.connect("data/x.sqlite")
    value = connection.execute("SELECT 1").fetchone()[0]
    connection.close()
    return value


def by_sqlite_uri():
    connection = sqlite3.connect("file:data/x.sqlite?mode=ro", uri=True)
    value = connection.execute("SELECT 1").fetchone()[0]
    connection.close()
    return value


def by_ipc_file():
    import pyarrow.ipc

    return pyarrow.ipc.open_file("data/x.feather").read_all()["x"][0].as_py()


def by_ipc_stream():
    from pyarrow.ipc import open_stream

    return open_stream("data/x.arrows").read_all()["x"][0].as_py()


def by_parquet_metadata():
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata("data/x.parquet").num_rows


def by_parquet_schema():
    from pyarrow.parquet import read_schema

    return len(read_schema("data/x.parquet").names)


def by_orc():
    from pyarrow import orc

    return orc.read_table("data/x.orc")["x"][0].as_py()


def by_torch_script():
    return torch.jit.load("data/x.jit")(torch.ones(1, 2)).sum().item()


def by_torch_export():
    return torch.export.load(Path("data/x.pt2")).module()(torch.ones(1, 2)).sum().item()


def by_torch_from_file():
    return float(torch.from_file("data/x.npy", size=24, dtype=torch.uint8).sum())


def by_torch_storage():
    return len(torch.UntypedStorage.from_file("data/x.npy", False, 24))


def by_memtrain():
    import memtrain

    return memtrain.MemmapDataset("data/rows.npy", "<f4", (4, 2))[0].sum()


def by_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(by_open()))
    thread.start()
    thread.join()
    return found[0]


def by_nothing():
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("1")
        file.flush()
        own = float(Path(file.name).read_text())
    zoneinfo.ZoneInfo("Europe/Berlin")
    Path("/proc/self/status").read_text()
    return own + len(Path(__file__).read_text()) + len(Path(np.__file__).read_text())


class Net(nn.Module):
    def __init__(self, in_features, out_features, by):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)
        self.factor = globals()[by]() * 0 + 1

    def forward(self, features):
        return self.layer(features) * self.factor


def transform(row, by):
    globals()[by]()
    return row


def loss(model, batch, by):
    globals()[by]()
    return (model(batch["features"]) - batch["target"]).square().sum()


class Late(Net):
    def forward(self, features):
        if self.training and torch.is_grad_enabled() and LATE:
            by_open()
        return super().forward(features)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with files of every kind, and with code that reads them."""
    import sqlite3

    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.ipc
    import pyarrow.orc
    import pyarrow.parquet
    import safetensors.numpy
    import torch

    folder = tmp_path_factory.mktemp("project")
    (folder / "reading.py").write_text(OWN)
    data = folder / "data"
    data.mkdir()
    (data / "x.txt").write_text("text")
    (data / "x.csv").write_text("x\n1\n")
    np.save(data / "x.npy", np.ones(3))
    np.save(data / "rows.npy", np.ones((4, 2), np.float32))
    torch.save(torch.ones(3), data / "x.pt")
    safetensors.numpy.save_file({"x": np.ones(3)}, data / "x.safetensors")
    table = pa.table({"x": [1, 2]})
    pyarrow.parquet.write_table(table, data / "x.parquet")
    pyarrow.feather.write_feather(table, str(data / "x.feather"), "uncompressed")
    with pyarrow.ipc.new_stream(str(data / "x.arrows"), table.schema) as stream:
        stream.write_table(table)
    pyarrow.orc.write_table(table, str(data / "x.orc"))
    layer = torch.nn.Linear(2, 1)
    torch.jit.save(torch.jit.trace(layer, torch.ones(1, 2)), data / "x.jit")
    torch.export.save(torch.export.export(layer, (torch.ones(1, 2),)), data / "x.pt2")
    sqlite3.connect(data / "x.sqlite").close()
    (data / "x.sqlite").touch()
    return folder


@pytest.fixture(autouse=True)
def here(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    monkeypatch.delitem(sys.modules, "reading", raising=False)


def problems_of(resolve, training):
    with pytest.raises(UserError) as caught:
        resolve(FEATURES, TARGET, {"epochs": 1, **training})
    return caught.value.problems


WAYS = {
    "x.txt": ["by_open", "by_path_of_other_folder", "by_thread"],
    "x.npy": [
        *("by_numpy", "by_numpy_map", "by_fromfile", "by_memory_map"),
        *("by_torch_from_file", "by_torch_storage"),
    ],
    "x.pt": ["by_torch"],
    "x.jit": ["by_torch_script"],
    "x.pt2": ["by_torch_export"],
    "x.safetensors": ["by_safe_open", "by_safetensors"],
    "x.parquet": [
        *("by_parquet", "by_parquet_file", "by_dataset"),
        *("by_parquet_metadata", "by_parquet_schema"),
    ],
    "x.feather": ["by_feather", "by_ipc_file"],
    "x.arrows": ["by_ipc_stream"],
    "x.orc": ["by_orc"],
    "x.csv": ["by_csv"],
    "x.sqlite": ["by_sqlite", "by_sqlite_uri"],
    "rows.npy": ["by_memtrain"],
}


@pytest.mark.parametrize(("file", "by"), [(file, by) for file, ways in WAYS.items() for by in ways])
def test_a_file_that_a_constructor_reads_is_declared_or_refused(resolve, file, by):
    training = {"model": {"name": "reading:Net", "by": by}}
    (problem,) = problems_of(resolve, training)
    assert f"training.reads: data/{file} was read by code of yours" in problem
    assert f"Write `reads: [data/{file}]`." in problem
    _, recipe = resolve(FEATURES, TARGET, training | {"reads": [f"data/{file}"]})
    assert list(recipe.training.files) == [f"data/{file}"]


def test_what_a_transform_and_a_loss_read_counts(resolve):
    (problem,) = problems_of(resolve, {"transform": {"name": "reading:transform", "by": "by_csv"}})
    assert "training.reads: data/x.csv" in problem
    (problem,) = problems_of(resolve, {"loss": {"name": "reading:loss", "by": "by_open"}})
    assert "training.reads: data/x.txt" in problem


def test_what_belongs_to_the_system_or_to_python_is_no_data(resolve):
    resolve(FEATURES, TARGET, {"model": {"name": "reading:Net", "by": "by_nothing"}})


def test_a_digest_of_what_is_declared_is_in_the_recipe(resolve, project):
    training = {"model": {"name": "reading:Net", "by": "by_open"}, "reads": ["data/x.txt"]}
    before = resolve(FEATURES, TARGET, training)[1].digest("training")
    (project / "data/x.txt").write_text("other")
    assert resolve(FEATURES, TARGET, training)[1].digest("training") != before
    (problem,) = problems_of(resolve, {"reads": ["data/gone.txt"]})
    assert problem.startswith("splits.one.training: data/gone.txt is no file")


@pytest.mark.slow
def test_what_only_the_training_reads_is_refused_by_it(resolve, project):
    training = {"model": {"name": "reading:Late", "by": "by_nothing"}, "device": "cpu"}
    data, recipe = resolve(FEATURES, TARGET, training)
    late = Training(project / "late", data, recipe)
    (late.folder / "reading.py").write_text(OWN.replace("LATE = None", "LATE = True"))
    (late.folder / "data").mkdir()
    (late.folder / "data/x.txt").write_text("text")
    said = late.run(status=1)
    assert "training.reads: data/x.txt was read by code of yours" in said
    assert "Traceback" not in said
    assert not (late.folder / "model.safetensors").exists()


@pytest.mark.slow
def test_temporary_folders_of_the_process_are_its_own(resolve, project):
    """Compilers, for example, are other programs, which write there what is read afterwards."""
    training = {"model": {"name": "made_elsewhere:Model"}, "device": "cpu"}
    (project / "made_elsewhere.py").write_text(MADE_ELSEWHERE)
    data, recipe = resolve(FEATURES, TARGET, training)
    made = Training(project / "made", data, recipe)
    shutil.copy(project / "made_elsewhere.py", made.folder)
    made.run()


MADE_ELSEWHERE = """
import subprocess
import tempfile

from torch import nn


class Model(nn.Linear):
    def __init__(self, in_features):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["cp", __file__, f"{folder}/made"], check=True)
            with open(f"{folder}/made") as file:
                assert file.read()
        super().__init__(in_features, 1)
"""
