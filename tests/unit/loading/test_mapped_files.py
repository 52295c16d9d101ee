"""A loader maps as many files as it may, and reads the others; batches are the same."""

from pathlib import Path

import numpy as np
import pytest

from memtrain.config.training import ShuffleSettings
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.loading import mapped_files
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.mapped_files import most_mapped_files
from memtrain.system.file_systems import FileSystem

ROWS = 120
SHUFFLE = ShuffleSettings(block_bytes=64, buffer_bytes=1 << 16)


def field_in_files(folder, name, count):
    """Write a field of numbers into some files, and return where it lies."""
    parts = np.split(np.arange(ROWS, dtype=np.int64), count)
    found = []
    for number, part in enumerate(parts):
        path = folder / f"{name}-{number}.bin"
        path.write_bytes(part.tobytes())
        found.append((str(path), part.nbytes, [(0, len(part))]))
    stream = Stream.of_parts(found, np.dtype(np.int64))
    return StoredField(name, stream, Consecutive(ROWS))


@pytest.mark.parametrize(
    ("setting", "mapped"), [(0, ""), (2, ""), (3, "b"), (14, "b"), (15, "ab"), (None, "ab")]
)
def test_the_fields_with_the_fewest_files_are_mapped(tmp_path, setting, mapped):
    fields = (field_in_files(tmp_path, "a", 12), field_in_files(tmp_path, "b", 3))
    layout = FilesLayout(fields, {"a": FieldView("a"), "b": FieldView("b")})
    loader = BlockLoader(
        MemmapDataset(layout), 30, shuffle=SHUFFLE, reader="mmap", mapped_files=setting
    )
    seen, names = [], set()
    for batch in loader:
        assert np.array_equal(batch["a"], batch["b"])
        seen.append(batch["a"].clone())
        lines = Path("/proc/self/maps").read_text().splitlines()
        names |= {Path(line.split()[-1]).name for line in lines if str(tmp_path) in line}
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(ROWS))
    counts = {"a": 12, "b": 3}
    assert names == {f"{name}-{n}.bin" for name in mapped for n in range(counts[name])}


def test_the_number_follows_the_machine_and_the_file_system(tmp_path, monkeypatch):
    limit = tmp_path / "max_map_count"
    monkeypatch.setattr(mapped_files, "_LIMIT", limit)
    assert most_mapped_files([str(tmp_path)]) == 10_921
    limit.write_text("600\n")
    assert most_mapped_files([str(tmp_path)]) == 100
    limit.write_text("1048576\n")
    assert most_mapped_files([str(tmp_path)]) == 174_762
    network = FileSystem("lustre", "/scratch", is_network=True)
    monkeypatch.setattr(mapped_files, "file_system_of", lambda path: network)
    assert most_mapped_files([str(tmp_path)]) == 1000
