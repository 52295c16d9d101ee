"""What works without Linux, and what says that it does not."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

#: Takes away what Python offers on Linux alone, as far as memtrain uses it, and the C library.
OTHER_SYSTEM = """
import ctypes, mmap, os, sys
# These look for files of the system that they run on, so they are imported before it changes.
import psutil, pydantic.fields, torch, torch.utils.data

sys.platform = "darwin"
for name in ("posix_fadvise", "posix_fallocate", "O_DIRECT", "RWF_NOWAIT", "preadv",
             "POSIX_FADV_RANDOM", "POSIX_FADV_SEQUENTIAL", "sched_getaffinity"):
    delattr(os, name)
for name in [name for name in dir(mmap) if name.startswith("MADV_")]:
    delattr(mmap, name)
sys.modules["resource"] = None

def missing(*arguments, **options):
    raise OSError("no such library")

ctypes.CDLL = missing
import memtrain

dataset = memtrain.MemmapDataset(sys.argv[1], start_index=10)
batches = list(torch.utils.data.DataLoader(dataset, batch_size=50))
print(torch.cat(batches).sum().item(), dataset[0].tolist())
try:
    memtrain.BlockLoader(dataset, 50)
except memtrain.UserError as error:
    print(error)
"""


def test_the_dataset_works_and_the_loader_says_that_it_needs_linux(tmp_path, repository):
    rows = np.arange(300, dtype=np.float32).reshape(100, 3)
    np.save(tmp_path / "rows.npy", rows)
    printed = subprocess.check_output(
        [sys.executable, "-c", OTHER_SYSTEM, tmp_path / "rows.npy"],
        env={"PYTHONPATH": str(repository / "scripts")},
        text=True,
    )
    result, message = printed.splitlines()
    assert result == f"{float(rows[10:].sum())} [30.0, 31.0, 32.0]"
    assert message.startswith("BlockLoader needs Linux ")
    assert (
        "this system is darwin. Use a torch.utils.data.DataLoader over the MemmapDataset" in message
    )
