"""The promise of the same bytes, kept on a GPU. Skipped without one."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from memtrain.components.device import gpu_memory_errors, set_exactness
from memtrain.core.errors import UserError
from memtrain.training.checkpoint import CheckpointFolder
from tests.trainings import Training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

GENERATOR = np.random.default_rng(4)
FEATURES = GENERATOR.random((4096, 64), dtype=np.float32)
TARGET = (FEATURES @ GENERATOR.standard_normal(64)).astype(np.float32)

#: Records of one page: rows that are taken in order are then views of the file.
PAGES = GENERATOR.random((512, 1023), dtype=np.float32)

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
    def make(name, features=FEATURES, **changes):
        target = TARGET[: len(features)]
        data, recipe = resolve(features, target, SETTINGS | changes, shard=512)
        return Training(tmp_path / name, data, recipe)

    return make


def evaluated(training, repository):
    """Evaluate the model of a training, and return the digests of metrics and predictions."""
    script = repository / "scripts" / "evaluate.py"
    given = {"data": training.data, "split": "split.json", "model": "model.safetensors"}
    given |= {"history": "history.csv"}
    written = {"evaluation": "evaluation.json", "predictions": "predictions.npy"}
    arguments = [part for name, path in (given | written).items() for part in (f"--{name}", path)]
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=training.folder,
        env={
            name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    files = [training.folder / path for path in written.values()]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_second_and_a_resumed_training_give_the_same_bytes(new_training, precision):
    one = new_training("one", precision=precision)
    one.run()
    again = new_training("again", precision=precision)
    again.run("--max-minutes", "0.004", status=75)
    assert "going on after" in again.run()
    assert again.digests() == one.digests()


@pytest.mark.parametrize("reduction", ["reproducible", "fast"])
def test_a_gpu_trains_what_a_cpu_trains_within_rounding(new_training, reduction):
    changes = {"reduction": reduction, "model": {"name": "mlp", "hidden": [256, 64]}, "epochs": 1}
    on_gpu = new_training("gpu", **changes)
    on_cpu = new_training("cpu", **changes, device="cpu")
    losses = []
    for training in (on_gpu, on_cpu):
        training.run()
        history = np.genfromtxt(training.folder / "history.csv", delimiter=",", names=True)
        losses.append(history["loss"])
    assert on_gpu.performance()["device"] != on_cpu.performance()["device"]
    # The first step has rounded only its own sums; later ones pass on what came before.
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-6)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("processes", [2, 4])
def test_the_same_bytes_on_several_gpus(new_training, processes):
    if torch.cuda.device_count() < processes:
        pytest.skip(f"there are fewer than {processes} CUDA devices")
    one, several = new_training("one"), new_training("several")
    one.run()
    several.run(processes=processes)
    assert several.digests() == one.digests()


def test_a_compiled_training_gives_the_same_bytes_when_it_is_resumed(new_training):
    one, again = (new_training(name, compile=True) for name in ("one", "again"))
    one.run()
    again.run("--max-minutes", "0.004", status=75)
    again.run()
    assert again.digests() == one.digests()


def test_rows_in_the_order_of_the_file_reach_the_gpu(new_training):
    training = new_training("pages", features=PAGES, shuffle="none")
    training.run()
    assert training.performance()["device"] != "cpu"


def test_two_evaluations_give_the_same_bytes(new_training, repository):
    training = new_training("one")
    training.run()
    assert evaluated(training, repository) == evaluated(training, repository)


def test_a_process_without_a_gpu_of_its_own_is_told(new_training):
    gpus = torch.cuda.device_count()
    said = new_training("one").run(status=1, LOCAL_RANK=str(gpus))
    assert f"needs a GPU of its own, but the machine has {gpus}" in said
    assert "Traceback" not in said


def test_products_and_convolutions_keep_the_digits_of_float32():
    set_exactness(deterministic=True)
    generator = torch.Generator().manual_seed(0)
    for layer, shape in ((nn.Conv2d(16, 32, 3), (8, 16, 32, 32)), (nn.Linear(512, 64), (64, 512))):
        rows = torch.randn(shape, generator=generator)
        exact = layer.double()(rows.double())
        found = layer.float().cuda()(rows.cuda()).cpu().double()
        # TF32 has 10 bits, whose rounding would be seen at 5e-4.
        assert (found - exact).abs().max() < 1e-5


def test_memory_that_does_not_suffice_is_told():
    message = r"GPU is too small.*allocate.*GiB\. Use less\."
    with pytest.raises(UserError, match=message), gpu_memory_errors("Use less."):
        torch.empty(1 << 50, device="cuda")


def test_step_counts_of_a_resumed_optimizer_stay_on_the_cpu(tmp_path):
    """Adam reads them in every step, and would wait for the GPU each time."""
    layer = nn.Linear(4, 4, device="cuda")
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 4, device="cuda")).sum().backward()
    optimizer.step()
    folder = CheckpointFolder(tmp_path / "state", {})
    folder.save(1, optimizer.state_dict())
    optimizer.load_state_dict(folder.load(1))
    for state in optimizer.state.values():
        assert state["exp_avg"].is_cuda
        assert not state["step"].is_cuda
