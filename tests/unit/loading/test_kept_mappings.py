"""Files stay mapped from one epoch to the next, and what became of them in between is noticed."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from memtrain.core.errors import UserError
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from tests.unit.data.test_files_layout import field_of, write_stream

VALUES = np.arange(3000, dtype=np.float32).reshape(300, 10)
BORDERS = [0, 100, 100, 299, 300]


def loader_of(folder, borders, **settings):
    stream = write_stream(folder, VALUES, borders)
    layout = FilesLayout((field_of(stream, "row"),), {"row": FieldView("row")})
    return BlockLoader(MemmapDataset(layout), 32, tell_rows=True, reader="mmap", **settings)


def rows_of(loader):
    """Go through an epoch, and return its rows in the order of the files."""
    rows = np.empty_like(VALUES)
    for batch in loader:
        rows[loader.rows] = batch["row"].numpy()
    return rows


def mapped(folder):
    """Return the names of the files of a folder that are mapped by this process."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {Path(line.split(maxsplit=5)[-1]).name for line in lines if str(folder) in line}


def test_files_stay_mapped_and_are_not_open(tmp_path):
    loader = loader_of(tmp_path, BORDERS)
    descriptors = len(os.listdir("/proc/self/fd"))
    np.testing.assert_array_equal(rows_of(loader), VALUES)
    with_rows = {"part-0.bin", "part-2.bin", "part-3.bin"}
    assert mapped(tmp_path) == with_rows
    np.testing.assert_array_equal(rows_of(loader), VALUES)
    assert mapped(tmp_path) == with_rows
    assert len(os.listdir("/proc/self/fd")) == descriptors
    del loader
    assert not mapped(tmp_path)


@pytest.mark.parametrize("borders", [[0, 300], BORDERS])
@pytest.mark.parametrize("replaced", [True, False])
def test_new_content_is_read(tmp_path, borders, replaced):
    loader = loader_of(tmp_path, borders)
    rows_of(loader)
    path = Path(loader.dataset.layout.stored[0].stream.paths[0])
    written = path.with_name("new") if replaced else path
    start, end = next(pairwise(borders))
    written.write_bytes((VALUES[start:end] + 7).tobytes())
    os.replace(written, path)
    expected = VALUES.copy()
    expected[start:end] += 7
    np.testing.assert_array_equal(rows_of(loader), expected)


@pytest.mark.parametrize("borders", [[0, 300], BORDERS])
@pytest.mark.parametrize("change", ["cut", "grown", "gone"])
def test_files_that_changed_are_named(tmp_path, borders, change):
    loader = loader_of(tmp_path, borders)
    rows_of(loader)
    path = Path(loader.dataset.layout.stored[0].stream.paths[0])
    if change == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + (50 if change == "grown" else -50))
    with pytest.raises(UserError, match=path.name):
        rows_of(loader)


def test_what_was_written_to_views_is_dropped(tmp_path):
    VALUES.tofile(tmp_path / "rows.bin")
    dataset = MemmapDataset(tmp_path / "rows.bin", np.float32, VALUES.shape)
    loader = BlockLoader(dataset, 32, shuffle=None)
    for _ in range(2):
        for batch, expected in zip(loader, np.split(VALUES, range(32, 300, 32)), strict=True):
            np.testing.assert_array_equal(batch.numpy(), expected)
            batch *= 2


def test_two_iterations_at_once(tmp_path):
    loader = loader_of(tmp_path, BORDERS)
    rows_of(loader)
    for first, second in zip(loader, loader, strict=True):
        assert first["row"].shape == second["row"].shape
    np.testing.assert_array_equal(rows_of(loader), VALUES)
