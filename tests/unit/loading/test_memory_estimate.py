"""The memory of a loader, known without making one."""

import numpy as np
import pytest

from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.memory_estimate import loader_memory_bytes
from tests.unit.loading.orders import SMALL


@pytest.mark.parametrize("shuffle", [SMALL, True, None])
@pytest.mark.parametrize("slots", [None, range(2)])
@pytest.mark.parametrize("gather_ahead", [False, True])
def test_the_estimate_is_what_the_loader_declares(records, shuffle, slots, gather_ahead):
    dataset = MemmapDataset(records)
    loader = BlockLoader(
        dataset,
        16,
        shuffle=shuffle,
        accumulation_steps=4,
        slots=slots,
        gather_ahead=gather_ahead,
    )
    estimate = loader_memory_bytes(dataset, loader.order, slots=slots, gather_ahead=gather_ahead)
    assert estimate == loader.memory_bytes


def test_the_estimate_covers_the_buffers_and_the_batches(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((20_000, 64), np.float32))
    dataset = MemmapDataset(tmp_path / "rows.npy")
    order = BlockLoader(dataset, 100, accumulation_steps=2).order
    rows_bytes = 20_000 * 64 * 4
    window_bytes = 200 * 64 * 4
    estimate = loader_memory_bytes(dataset, order)
    assert rows_bytes + window_bytes < estimate
    # Batches are gathered in a few groups of about a MiB; places of rows take some bytes a row.
    assert estimate < rows_bytes + (8 << 20)
