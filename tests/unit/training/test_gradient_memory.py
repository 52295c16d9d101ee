"""The gradients of later windows take the memory of earlier ones."""

import os
import platform
import subprocess
import sys

import pytest

#: Trains a layer of 36 MiB, and prints how many fresh pages the last windows needed.
PROGRAM = """
import resource
import sys

import torch
from torch import nn

from memtrain.training.gradient_memory import keep_gradient_memory
from tests.unit.training.accumulation.accumulators import ddp, mlp_window, never, tree

model = nn.Linear(3072, 3072)
if sys.argv[2] == "kept":
    keep_gradient_memory(model, torch.device("cpu"))
accumulator = {"tree": tree, "ddp": ddp}[sys.argv[1]](model, 4, 2)
window = mlp_window(columns=3072, slots=4, batch_size=2)
for number in range(6):
    if number == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    accumulator.accumulate(window, 1.0, never)
    model.zero_grad(set_to_none=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def fresh_pages(accumulator, mode):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, accumulator, mode],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no mallopt")
@pytest.mark.parametrize("accumulator", ["tree", "ddp"])
def test_later_windows_need_few_fresh_pages(accumulator):
    gradient_pages = (36 << 20) // 4096
    without = fresh_pages(accumulator, "given back")
    assert without > 12 * gradient_pages
    # The heap may still grow by a block where others lie between its free parts.
    assert fresh_pages(accumulator, "kept") < without / 4
