"""Batches that go to a GPU while it computes. Skipped without one."""

from itertools import islice

import numpy as np
import pytest
import torch

from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

#: Clock cycles that a GPU is kept busy for: some milliseconds.
CYCLES = 20_000_000


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(65_536 * 64, dtype=np.float32).reshape(65_536, 64))
    return path


def doubled(batch):
    """Return new memory, which nobody has pinned."""
    return batch * 2


doubled.batched = True


def expected(dataset, **options):
    return list(BlockLoader(dataset, 256, seed=3, copy=True, **options))


def test_memory_is_not_filled_again_before_it_was_copied(rows):
    """The GPU is busy all the time, so that copies wait for it while the loader goes on."""
    dataset = MemmapDataset(rows)
    found = []
    for batch in BlockLoader(dataset, 256, seed=3, device="cuda"):
        torch.cuda._sleep(CYCLES)
        found.append(batch)
    for one, other in zip(expected(dataset), found, strict=True):
        assert other.is_cuda
        assert torch.equal(one, other.cpu())


def test_what_a_transform_returns_reaches_the_gpu_without_waiting_for_it(rows):
    dataset = MemmapDataset(rows, transform=doubled)
    loader = iter(BlockLoader(dataset, 256, seed=3, device="cuda"))
    found = [next(loader)]
    torch.cuda.synchronize()
    end = torch.cuda.Event()
    for _ in range(20):
        torch.cuda._sleep(CYCLES)
    end.record()
    # More than are copied together, and fewer than there is pinned memory for.
    found += islice(loader, 40)
    # A copy from memory that is not pinned would have waited.
    assert not end.query()
    found += loader
    for one, other in zip(expected(dataset), found, strict=True):
        assert torch.equal(one, other.cpu())


def test_windows_that_are_gathered_ahead_are_there_on_a_stream_of_the_users_own(rows):
    dataset = MemmapDataset(rows)
    loader = BlockLoader(
        dataset, 256, seed=3, device="cuda", accumulation_steps=4, gather_ahead=True
    )
    sums = []
    with torch.cuda.stream(torch.cuda.Stream()):
        for window in loader.windows():
            sums += [batch.double().sum() for batch in window]
            torch.cuda._sleep(CYCLES)
        torch.cuda.synchronize()
    batches = expected(dataset, accumulation_steps=4)
    assert [one.item() for one in sums] == [batch.double().sum().item() for batch in batches]


def test_no_process_opens_a_gpu_that_is_not_its_own(rows):
    if torch.cuda.device_count() < 2:
        pytest.skip("there are fewer than 2 CUDA devices")
    device = torch.device("cuda", 1)
    torch.cuda.set_device(device)
    try:
        for batch in BlockLoader(MemmapDataset(rows), 256, seed=3, device=device):
            assert batch.device == device
    finally:
        torch.cuda.set_device(0)
