"""Processes that train together read the rows once between them."""

import subprocess

import numpy as np
import pytest

from tests.programs import quick_python
from tests.unit.loading.orders import drop_from_cache

pytestmark = pytest.mark.slow

READ = """
import sys
sys.path.insert(0, sys.argv[1])
from memtrain.loading.block_loader import BlockLoader
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.config.training import ShuffleSettings

shuffle = ShuffleSettings(block_bytes=64 << 10, buffer_bytes=1 << 20)
loader = BlockLoader(
    MemmapDataset(sys.argv[2]), 64, shuffle=shuffle, accumulation_steps=8, reader="direct",
    slots=range(int(sys.argv[3]), int(sys.argv[4])),
)
assert loader.order.in_lanes


def bytes_read():
    with open("/proc/self/io") as file:
        return int(dict(line.split(": ") for line in file)["read_bytes"])


before = bytes_read()
rows = sum(len(batch) for batch in loader)
print(bytes_read() - before, rows)
"""


def test_several_processes_together_read_little_more_than_one(tmp_path, repository):
    """Every process reads only its own lanes. The kernel counts the bytes; no page is cached."""
    program, path = tmp_path / "read.py", str(tmp_path / "rows.npy")
    program.write_text(READ)
    np.save(path, np.zeros((65536, 128), np.float32))

    def read(start, end):
        drop_from_cache(path)
        command = [quick_python(), program, repository / "scripts", path, str(start), str(end)]
        done = subprocess.check_output(command, text=True)
        return np.array(list(map(int, done.split())))

    alone = read(0, 8)
    assert alone[0] >= 65536 * 512
    for processes in (2, 4):
        share = 8 // processes
        together = sum(read(start, start + share) for start in range(0, 8, share))
        assert together[1] == alone[1] == 65536
        assert together[0] <= 1.05 * alone[0]
