"""The promise of the same bytes, kept on a GPU. Skipped without one."""

import numpy as np
import pytest
import torch

from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from tests.trainings import Training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

GENERATOR = np.random.default_rng(4)
FEATURES = GENERATOR.random((4096, 64), dtype=np.float32)
TARGET = (FEATURES @ GENERATOR.standard_normal(64)).astype(np.float32)

SETTINGS = {
    "model": {"name": "mlp", "hidden": [256, 64], "dropout": 0.2},
    "optimizer": {"name": "AdamW", "lr": 0.001},
    "batch_size": 32,
    "accumulation_steps": 8,
    "epochs": 3,
    "device": "cuda",
}


@pytest.fixture
def new_training(resolve, tmp_path):
    def make(name, **changes):
        data, recipe = resolve(FEATURES, TARGET, SETTINGS | changes, shard=512)
        return Training(tmp_path / name, data, recipe)

    return make


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_second_and_a_resumed_training_give_the_same_bytes(new_training, precision):
    one = new_training("one", precision=precision)
    one.run()
    again = new_training("again", precision=precision)
    again.run("--max-minutes", "0.004", status=75)
    assert "going on after" in again.run()
    assert again.digests() == one.digests()


@pytest.mark.parametrize("processes", [2, 4])
def test_the_same_bytes_on_several_gpus(new_training, processes):
    if torch.cuda.device_count() < processes:
        pytest.skip(f"there are fewer than {processes} CUDA devices")
    one, several = new_training("one"), new_training("several")
    one.run()
    several.run(processes=processes)
    assert several.digests() == one.digests()


def test_batches_are_copied_from_pinned_memory_during_computation(resolve):
    data, _ = resolve(FEATURES, TARGET, SETTINGS, shard=512)
    on_cpu = BlockLoader(MemmapDataset(data), 64, seed=3, copy=True)
    on_gpu = BlockLoader(MemmapDataset(data), 64, seed=3, device="cuda")
    for expected, found in zip(on_cpu, on_gpu, strict=True):
        assert found["features"].is_cuda
        assert torch.equal(expected["features"], found["features"].cpu())
