"""Accumulators, and windows for them, that tests of accumulation share."""

import torch
from torch import nn

from memtrain.training.accumulation.accumulator import Window
from memtrain.training.accumulation.ddp import DdpAccumulator
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import MicroBatchRng, SlotLoss
from memtrain.training.accumulation.tree import TreeAccumulator
from memtrain.training.distributed.process_group import ProcessGroup

CPU = torch.device("cpu")


class Loss(nn.Module):
    """A loss of torch.nn in the form that accumulators take."""

    weighs_rows = False

    def __init__(self, name="MSELoss"):
        super().__init__()
        self.summed = getattr(nn, name)(reduction="sum")

    def forward(self, model, batch):
        return self.summed(model(batch["features"]), batch["target"])


def loss_of(loss):
    """Return a loss by the name of a class of torch.nn, or by a class."""
    return Loss(loss) if isinstance(loss, str) else loss()


def window_of(features, target, batch_size, slots, step=0):
    batches = [
        {"features": part, "target": goal}
        for part, goal in zip(features.split(batch_size), target.split(batch_size), strict=True)
    ]
    sizes = [len(batch["target"]) for batch in batches]
    return Window(step, sizes + [0] * (slots - len(sizes)), batches)


def mlp_window(columns=20, slots=8, batch_size=16, seed=0):
    torch.manual_seed(seed)
    features, target = torch.rand(slots * batch_size, columns), torch.rand(slots * batch_size, 1)
    return window_of(features, target, batch_size, slots)


def slot_gradients(model, slots, batch_size, loss="MSELoss", slots_per_call=None):
    slot_loss, rng = SlotLoss(model, loss_of(loss), "float32", CPU), MicroBatchRng(0, slots, CPU)
    return SlotGradients(slot_loss, rng, batch_size=batch_size, slots_per_call=slots_per_call)


def tree(model, slots, batch_size, loss="MSELoss", slots_per_call=None):
    gradients = slot_gradients(model, slots, batch_size, loss, slots_per_call)
    return TreeAccumulator(gradients, accumulation_steps=slots, group=ProcessGroup(), device=CPU)


def ddp(model, slots, batch_size, loss="MSELoss"):
    return DdpAccumulator(
        SlotLoss(model, loss_of(loss), "float32", CPU),
        MicroBatchRng(0, slots, CPU),
        accumulation_steps=slots,
        group=ProcessGroup(),
        device=CPU,
        any_row=dict,
    )


def never():
    return False


def flat_gradient(model):
    return torch.cat([part.grad.reshape(-1) for part in model.parameters()])
