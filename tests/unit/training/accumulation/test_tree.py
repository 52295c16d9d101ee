"""The accumulated gradient is the gradient of the window as one batch."""

import copy
import logging
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from memtrain.training.accumulation.accumulator import NonFiniteLossError, Window
from memtrain.training.accumulation.ddp import DdpAccumulator
from memtrain.training.accumulation.slot_gradients import SlotGradients
from memtrain.training.accumulation.slot_loss import MicroBatchRng, SlotLoss, WindowSlots
from memtrain.training.accumulation.summation_tree import tree_sum
from memtrain.training.accumulation.tree import TreeAccumulator
from memtrain.training.distributed.process_group import ProcessGroup
from memtrain.training.optimizer_step import OptimizerStep

CPU = torch.device("cpu")

TARGETS = {
    "MSELoss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "L1Loss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "HuberLoss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "CrossEntropyLoss": lambda rows, outputs: torch.randint(outputs, (rows,)),
}


class Loss(nn.Module):
    """A loss of torch.nn, as the accumulation takes it."""

    weighs_rows = False

    def __init__(self, name="MSELoss"):
        super().__init__()
        self.summed = getattr(nn, name)(reduction="sum")

    def forward(self, model, batch):
        return self.summed(model(batch["features"]), batch["target"])


def window_of(features, target, batch_size, slots, step=0):
    batches = [
        {"features": part, "target": goal}
        for part, goal in zip(features.split(batch_size), target.split(batch_size), strict=True)
    ]
    sizes = [len(batch["target"]) for batch in batches]
    return Window(step, sizes + [0] * (slots - len(sizes)), batches)


def gradients_of_slots(model, slots, batch_size, loss="MSELoss", slots_per_call=None):
    slot_loss, rng = SlotLoss(model, Loss(loss), "float32", CPU), MicroBatchRng(0, slots, CPU)
    return SlotGradients(slot_loss, rng, batch_size=batch_size, slots_per_call=slots_per_call)


def vector_of_run(model, run, batches, rows, step=0):
    """Return the summed vector of a run of the 8 slots of a window."""
    window = WindowSlots(step, {slot: batches[slot] for slot in run}, rows)
    return gradients_of_slots(model, 8, 16).sum_run(run, window).vector


def tree(model, slots, batch_size, loss="MSELoss", slots_per_call=None):
    gradients = gradients_of_slots(model, slots, batch_size, loss, slots_per_call)
    return TreeAccumulator(gradients, accumulation_steps=slots, group=ProcessGroup(), device=CPU)


def fast(model, slots, batch_size, loss="MSELoss"):
    return DdpAccumulator(
        SlotLoss(model, Loss(loss), "float32", CPU),
        MicroBatchRng(0, slots, CPU),
        accumulation_steps=slots,
        group=ProcessGroup(),
        device=CPU,
        any_row=dict,
    )


@pytest.fixture
def messages(caplog):
    """A function that returns what was logged."""
    caplog.set_level(logging.INFO)
    return lambda: [record.message for record in caplog.records]


def never():
    return False


@pytest.mark.parametrize("accumulator", [tree, fast])
@given(
    rows=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    more_slots=st.integers(0, 3),
    columns=st.integers(1, 6),
    outputs=st.integers(1, 4),
    loss=st.sampled_from(sorted(TARGETS)),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_gradient_is_that_of_one_batch(
    accumulator, rows, batch_size, more_slots, columns, outputs, loss, seed
):
    """Also where the last micro-batch is short, slots are empty, and for any number of slots."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(columns, 5), nn.Tanh(), nn.Linear(5, outputs)).double()
    whole = copy.deepcopy(model)
    features = torch.randn(rows, columns, dtype=torch.float64)
    target = TARGETS[loss](rows, outputs)
    slots = -(-rows // batch_size) + more_slots
    window = window_of(features, target, batch_size, slots)
    found = accumulator(model, slots, batch_size, loss).accumulate(window, 1.0, never)

    expected = Loss(loss)(whole, {"features": features, "target": target}) / rows
    expected.backward()

    assert window.rows == rows
    assert found.loss == pytest.approx(expected.item(), rel=1e-12)
    for part, other in zip(model.parameters(), whole.parameters(), strict=True):
        scale = other.grad.abs().max().clamp(min=1e-3)
        assert (part.grad - other.grad).abs().max() <= 1e-12 * scale


def mlp_window(columns=20, slots=8, batch_size=16, seed=0):
    torch.manual_seed(seed)
    features, target = torch.rand(slots * batch_size, columns), torch.rand(slots * batch_size, 1)
    return window_of(features, target, batch_size, slots)


def gradients_of(model):
    return torch.cat([part.grad.reshape(-1) for part in model.parameters()])


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
        found.append((result, gradients_of(model)))
    assert all(result == found[0][0] for result, _ in found)
    assert all(torch.equal(vector, found[0][1]) for _, vector in found)


def test_slots_are_computed_in_one_call_where_that_is_the_same(messages):
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
    accumulator = tree(model, 8, 16, slots_per_call=8)
    for seed in range(2):
        accumulator.accumulate(mlp_window(seed=seed), 1.0, never)
    assert messages() == ["slots in one call: 8 of 8 (the same bits as one by one)"]


def test_a_graph_that_gives_other_bits_is_not_used(monkeypatch, messages):
    from memtrain.training.accumulation.vmapped_slots import VmappedSlots

    right = VmappedSlots._compute_stacked

    def wrong(self, *arguments):
        vectors, summed = right(self, *arguments)
        return vectors * (1 + 2e-7), summed

    monkeypatch.setattr(VmappedSlots, "_compute_stacked", wrong)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
    tree(model, 8, 16, slots_per_call=8).accumulate(mlp_window(), 1.0, never)
    assert messages() == ["slots in one call: 1 of 8 (more give other bits)"]


class Branching(nn.Linear):
    """Looks at its values, which vmap does not allow."""

    def forward(self, features):
        return super().forward(features) * (2.0 if features.sum().item() > 0 else 1.0)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 1)), "draws random numbers"),
        (nn.Sequential(nn.BatchNorm1d(20), nn.Linear(20, 1)), "has buffers"),
        (Branching(20, 1), "does not allow more"),
    ],
    ids=["dropout", "buffers", "branching"],
)
def test_why_slots_are_computed_one_by_one_is_said(model, reason, messages):
    tree(model, 8, 16, slots_per_call=8).accumulate(mlp_window(), 1.0, never)
    (message,) = messages()
    assert "slots in one call: 1 of 8" in message
    assert reason in message


def test_dropout_depends_on_step_and_slot_alone():
    def gradients(step, slots):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(20, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        window = mlp_window()
        batches = dict(enumerate(window.batches))
        torch.manual_seed(step * 1000)
        return vector_of_run(model, slots, batches, window.rows, step)

    assert torch.equal(gradients(5, range(8)), gradients(5, range(4)) + gradients(5, range(4, 8)))
    assert not torch.equal(gradients(5, range(2, 3)), gradients(6, range(2, 3)))


def test_every_slot_drops_others():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(20, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    batches = dict.fromkeys(range(8), mlp_window().batches[0])
    found = [vector_of_run(model, range(slot, slot + 1), batches, 128, step=5) for slot in range(8)]
    assert not any(
        torch.equal(one, other) for number, one in enumerate(found) for other in found[:number]
    )


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_buffers_change_by_the_mean_of_the_slots_whoever_computes_them(processes):
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(20), nn.Linear(20, 1))
    window, share = mlp_window(), 8 // processes
    batches = dict(enumerate(window.batches))
    vectors = []
    for rank in range(processes):
        run = range(rank * share, (rank + 1) * share)
        vectors.append(vector_of_run(model, run, batches, window.rows))
    gradients_of_slots(model, 8, 16).hand_over(tree_sum(vectors))
    means = torch.stack([batch["features"].mean(0) for batch in window.batches])
    assert torch.allclose(model[0].running_mean, 0.1 * means.mean(0), rtol=1e-5)
    assert model[0].num_batches_tracked == 1


def test_sums_of_bfloat16_parameters_are_float32():
    torch.manual_seed(0)
    slots = 128
    model = nn.Linear(20, 1).bfloat16()
    window = mlp_window(slots=slots)
    window.batches[:] = [
        {name: value.bfloat16() for name, value in batch.items()} for batch in window.batches
    ]
    gradients, batches = gradients_of_slots(model, slots, 16), dict(enumerate(window.batches))
    vector = gradients.sum_run(range(slots), WindowSlots(0, batches, window.rows)).vector
    alone = torch.stack(
        [vector_of_run(model, range(slot, slot + 1), batches, window.rows) for slot in range(slots)]
    )
    assert vector.dtype == torch.float32
    assert torch.allclose(vector, alone.double().sum(0).float(), rtol=1e-5)
    gradients.hand_over(vector)
    assert model.weight.grad.dtype == torch.bfloat16


def step_of(model, optimizer, clip_norm=None, scheduler=None):
    return OptimizerStep(optimizer, scheduler, clip_norm=clip_norm, scales_loss=False, device=CPU)


def test_nothing_is_left_for_the_next_window():
    torch.manual_seed(0)
    model = nn.Linear(20, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    accumulator, step = tree(model, 8, 16), step_of(model, optimizer)
    accumulator.accumulate(mlp_window(seed=0), 1.0, never)
    step.take()
    assert all(part.grad is None for part in model.parameters())
    fresh = copy.deepcopy(model)
    result = accumulator.accumulate(mlp_window(seed=1), 1.0, never)
    alone = tree(fresh, 8, 16).accumulate(mlp_window(seed=1), 1.0, never)
    assert result == alone
    assert torch.equal(gradients_of(model), gradients_of(fresh))


@pytest.mark.parametrize("clip_norm", [None, 1e-3, 1e3])
def test_the_norm_is_that_of_the_whole_gradient_and_clips_it(clip_norm):
    torch.manual_seed(0)
    model = nn.Linear(20, 1)
    tree(model, 8, 16).accumulate(mlp_window(), 1.0, never)
    gradient, before = gradients_of(model).double(), copy.deepcopy(model)
    taken = step_of(model, torch.optim.SGD(model.parameters(), lr=1.0), clip_norm).take()
    norm = gradient.norm().item()
    assert taken.gradient_norm == pytest.approx(norm, rel=1e-6)
    factor = 1.0 if clip_norm is None or clip_norm > norm else clip_norm / norm
    moved = torch.cat(
        [
            (old - new).reshape(-1)
            for old, new in zip(before.parameters(), model.parameters(), strict=True)
        ]
    )
    assert moved.norm().item() == pytest.approx(factor * norm, rel=1e-3)


def test_a_scaled_loss_gives_the_same_step():
    """Powers of two change no bit."""
    weights = []
    for scale in (1.0, 2.0**16):
        torch.manual_seed(0)
        model = nn.Linear(20, 1)
        tree(model, 8, 16).accumulate(mlp_window(), scale, never)
        weights.append(gradients_of(model) / scale)
    assert torch.equal(*weights)


def test_an_overflow_skips_the_step_and_the_schedule():
    torch.manual_seed(0)
    model = nn.Linear(20, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    step = OptimizerStep(optimizer, scheduler, clip_norm=1.0, scales_loss=True, device=CPU)
    before, scale = copy.deepcopy(model.state_dict()), step.scale
    tree(model, 8, 16).accumulate(mlp_window(), scale, never)
    model.weight.grad[0, 0] = math.inf
    assert step.take().skipped
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert step.scale == scale / 2
    assert scheduler.last_epoch == 0
    tree(model, 8, 16).accumulate(mlp_window(), step.scale, never)
    assert not step.take().skipped
    assert scheduler.last_epoch == 1
    assert not torch.equal(before["weight"], model.weight)


@pytest.mark.parametrize("accumulator", [tree, fast])
def test_a_loss_that_is_not_finite_names_its_slot(accumulator):
    model = nn.Linear(20, 1)
    window = mlp_window()
    window.batches[2]["target"][0] = torch.nan
    with pytest.raises(NonFiniteLossError) as caught:
        accumulator(model, 8, 16).accumulate(window, 1.0, never)
    assert caught.value.slot == 2


def test_a_stop_is_noted():
    model = nn.Linear(20, 1)
    assert tree(model, 8, 16).accumulate(mlp_window(), 1.0, lambda: True).should_stop
    assert not tree(model, 8, 16).accumulate(mlp_window(), 1.0, never).should_stop
