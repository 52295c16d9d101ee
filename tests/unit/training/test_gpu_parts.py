"""NCCL, FSDP, bfloat16 and CUDA graphs, in one process. Skipped without a GPU."""

import pytest
import torch
from benchmarks.gpu.points.graphs import Slot, captured
from torch import distributed, nn

from memtrain.components.device import choose_device, set_exactness
from memtrain.training.accumulation.slot_loss import SlotLoss
from memtrain.training.distributed.fsdp import ModelState, shard
from memtrain.training.distributed.process_group import ProcessGroup

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture
def nccl(tmp_path):
    """A group of one process, whose tensors travel by NCCL."""
    device = choose_device("cuda")
    distributed.init_process_group(
        "nccl", init_method=f"file://{tmp_path}/group", rank=0, world_size=1, device_id=device
    )
    yield device
    distributed.destroy_process_group()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_nccl_takes_what_processes_exchange(nccl, dtype):
    numbers = torch.arange(1000, device=nccl).to(dtype)
    summed = numbers.clone()
    distributed.all_reduce(summed)
    assert torch.equal(summed, numbers)
    distributed.broadcast(summed, 0)
    assert torch.equal(summed, numbers)


def test_a_sharded_model_gives_its_state(nccl):
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1))
    before = {name: part.clone() for name, part in model.state_dict().items()}
    shard(model, ProcessGroup(), nccl)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    state = ModelState(model, optimizer)
    found = state.weights()
    assert all(torch.equal(found[name], part) for name, part in before.items())
    model(torch.ones(2, 8, device=nccl)).sum().backward()
    optimizer.step()
    saved = state.state_dict()
    state.load_state_dict(saved)
    assert any(not torch.equal(saved["model"][name], part) for name, part in before.items())


def test_the_backward_pass_of_autocast_gives_gradients_of_float32():
    device = torch.device("cuda")
    model = nn.Linear(64, 1).to(device)

    class Squares(nn.Module):
        def forward(self, model, batch):
            return (model(batch["features"]).float() - batch["target"]).square().sum()

    batch = {"features": torch.randn(32, 64, device=device)}
    batch["target"] = batch["features"].sum(dim=1, keepdim=True)
    gradients = {}
    for precision in ("float32", "bfloat16"):
        loss = SlotLoss(model, Squares(), precision, device)(batch)
        (gradients[precision], _) = torch.autograd.grad(loss, list(model.parameters()))
        assert loss.dtype == gradients[precision].dtype == torch.float32
    exact, found = gradients["float32"], gradients["bfloat16"]
    assert not torch.equal(exact, found)
    assert (found - exact).norm() < 0.05 * exact.norm()


def test_a_cuda_graph_of_a_slot_has_the_bits_of_the_slot():
    set_exactness(deterministic=True)
    slot = Slot(torch.device("cuda"))
    replay = captured(slot)
    for features, target in zip(slot.features, slot.target, strict=True):
        assert torch.equal(replay(features, target), slot.gradient(features, target))
