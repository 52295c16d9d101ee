"""A training with large gradients keeps the memory that they free."""

import platform

import pytest

from tests.fresh_pages import fresh_pages

#: Makes and frees tensors of 64 MiB in all, beside a model of 16 MiB.
PROGRAM = """
import torch
from torch import nn

from memtrain.training.gradient_memory import keep_gradient_memory

model = nn.Linear(2048, 2048)  # Once a block of this size is freed, the C library keeps more.
keep_gradient_memory(model, torch.device("cpu"))


def use_memory():
    return [torch.ones(1 << 18) for _ in range(64)]
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no mallopt")
def test_the_memory_of_large_gradients_is_kept():
    # Without the call, these are 110,000 pages.
    assert fresh_pages(PROGRAM) < (64 << 20) // 4096 // 4
