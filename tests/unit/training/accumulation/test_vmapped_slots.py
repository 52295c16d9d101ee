"""Several slots in one call, if that gives the same bits as one by one."""

import logging

import pytest
import torch
from torch import nn

from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import MicroBatchRng, SlotLoss
from memtrain.training.accumulation.tree import TreeAccumulator
from memtrain.training.accumulation.vmapped_slots import VmappedSlots
from memtrain.training.distributed.process_group import ProcessGroup
from tests.unit.training.accumulation.accumulators import (
    CPU,
    Loss,
    flat_gradient,
    mlp_window,
    never,
    tree,
)


@pytest.fixture
def messages(caplog):
    """Return a function that returns the logged messages."""
    caplog.set_level(logging.INFO)
    return lambda: [record.message for record in caplog.records]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 13, 16])
@pytest.mark.parametrize("slots", [4, 6, 8])
def test_slots_in_one_call_give_the_bits_of_slots_one_by_one(slots, batch_size):
    found = []
    for per_call in (1, 2, 8):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
        accumulator = tree(model, slots, batch_size, slots_per_call=per_call)
        for seed in range(3):
            window = mlp_window(slots=slots, batch_size=batch_size, seed=seed)
            result = accumulator.accumulate(window, 1.0, never)
        found.append((result, flat_gradient(model)))
    assert all(result == found[0][0] for result, _ in found)
    assert all(torch.equal(vector, found[0][1]) for _, vector in found)


def test_slots_are_computed_in_one_call_if_the_bits_agree(messages):
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
    accumulator = tree(model, 8, 16, slots_per_call=8)
    for seed in range(2):
        accumulator.accumulate(mlp_window(seed=seed), 1.0, never)
    assert messages() == ["slots in one call: 8 of 8 (the same bits as one by one)"]


class WithUnusedLayer(nn.Linear):
    """A model of which one layer takes part in no loss."""

    def __init__(self):
        super().__init__(20, 1)
        self.unused = nn.Linear(3, 1)


def test_slots_in_one_call_give_no_gradient_to_what_took_no_part(messages):
    model = WithUnusedLayer()
    accumulator = tree(model, 8, 16, slots_per_call=8)
    for seed in range(2):
        accumulator.accumulate(mlp_window(seed=seed), 1.0, never)
    assert messages() == ["slots in one call: 8 of 8 (the same bits as one by one)"]
    assert [part.grad is None for part in model.parameters()] == [False, False, True, True]


def test_a_graph_that_gives_other_bits_is_not_used(monkeypatch, messages):
    right = VmappedSlots._compute_stacked

    def wrong(self, *arguments):
        vectors, summed = right(self, *arguments)
        return vectors * (1 + 2e-7), summed

    monkeypatch.setattr(VmappedSlots, "_compute_stacked", wrong)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
    tree(model, 8, 16, slots_per_call=8).accumulate(mlp_window(), 1.0, never)
    assert messages() == ["slots in one call: 1 of 8 (more slots give other bits)"]


class Branching(nn.Linear):
    """A model that branches on its values, which vmap does not allow."""

    def forward(self, features):
        return super().forward(features) * (2.0 if features.sum().item() > 0 else 1.0)


class BranchingLoss(Loss):
    """A loss that branches on its values."""

    def forward(self, model, batch):
        summed = super().forward(model, batch)
        return summed * (2.0 if summed.item() > 0 else 1.0)


def test_a_loss_that_prevents_it_is_named_in_one_sentence(messages):
    slot_loss = SlotLoss(nn.Linear(20, 1), BranchingLoss(), "float32", CPU)
    slots = SlotGradients(slot_loss, MicroBatchRng(0, 8, CPU), batch_size=16, slots_per_call=8)
    accumulator = TreeAccumulator(slots, accumulation_steps=8, group=ProcessGroup(), device=CPU)
    accumulator.accumulate(mlp_window(), 1.0, never)
    (message,) = messages()
    assert message.startswith("slots in one call: 1 of 8 (the loss does not allow more slots: ")
    assert ". " not in message


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 1)), "draws random numbers"),
        (nn.Sequential(nn.BatchNorm1d(20), nn.Linear(20, 1)), "has buffers"),
        (Branching(20, 1), "the model does not allow more slots"),
    ],
    ids=["dropout", "buffers", "branching"],
)
def test_the_log_says_why_slots_are_computed_one_by_one(model, reason, messages):
    tree(model, 8, 16, slots_per_call=8).accumulate(mlp_window(), 1.0, never)
    (message,) = messages()
    assert "slots in one call: 1 of 8" in message
    assert reason in message
