"""A training with large gradients keeps the memory that they free."""

import os
import platform
import subprocess
import sys

import pytest

#: Makes and frees tensors of 64 MiB in all, beside a model of 4 bytes times the square of the first
#: argument; prints how many fresh pages the last eight rounds needed.
PROGRAM = """
import resource
import sys

import torch
from torch import nn

from memtrain.training.gradient_memory import keep_gradient_memory

width = int(sys.argv[1])
model = nn.Linear(width, width)  # Once a block of this size is freed, the C library keeps more.
keep_gradient_memory(model, torch.device("cpu"))


def use_memory():
    return [torch.ones(1 << 18) for _ in range(64)]


def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


use_memory()
use_memory()
before = pages()
for _ in range(8):
    use_memory()
print(pages() - before)
"""


def fresh_pages(width):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(width)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no mallopt")
def test_the_memory_of_large_gradients_is_kept():
    # Without the call, these are 110,000 pages.
    assert fresh_pages(width=2048) < (64 << 20) // 4096 // 4
