"""The accumulated gradient is the gradient of the window as one batch."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from memtrain.training.accumulation.accumulator import NonFiniteLossError
from tests.unit.training.accumulation.accumulators import (
    Loss,
    ddp,
    flat_gradient,
    mlp_window,
    never,
    tree,
    window_of,
)

TARGETS = {
    "MSELoss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "L1Loss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "HuberLoss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "CrossEntropyLoss": lambda rows, outputs: torch.randint(outputs, (rows,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("accumulator", [tree, ddp])
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
def test_the_gradient_is_that_of_the_window_as_one_batch(
    accumulator, rows, batch_size, more_slots, columns, outputs, loss, seed
):
    """This holds for any number of slots, with a short last micro-batch, and with empty slots."""
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


class Branching(nn.Module):
    """A model of which one layer takes part in some micro-batches, and another one in none."""

    def __init__(self):
        super().__init__()
        self.always = nn.Linear(3, 1)
        self.sometimes = nn.Linear(3, 1)
        self.never = nn.Linear(3, 1)

    def forward(self, features):
        outputs = self.always(features)
        return outputs + self.sometimes(features) if features[0, 0] > 0 else outputs


@pytest.mark.parametrize("accumulator", [tree, ddp])
@given(
    signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=1, max_size=6),
    more_slots=st.integers(0, 2),
    last_rows=st.integers(1, 3),
)
@settings(deadline=None, max_examples=25)
def test_a_parameter_that_took_no_part_has_no_gradient(accumulator, signs, more_slots, last_rows):
    torch.manual_seed(0)
    model = Branching().double()
    plain = copy.deepcopy(model)
    rows = 3 * (len(signs) - 1) + last_rows
    features, target = torch.rand(rows, 3).double(), torch.rand(rows, 1).double()
    features[::3, 0] *= torch.tensor(signs)
    slots = len(signs) + more_slots
    window = window_of(features, target, 3, slots)
    accumulator(model, slots, 3).accumulate(window, 1.0, never)
    for batch in window.batches:
        (Loss()(plain, batch) / rows).backward()
    for part, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert (part.grad is None) == (other.grad is None)
        assert part.grad is None or torch.allclose(part.grad, other.grad, rtol=1e-12, atol=1e-15)
    assert model.never.weight.grad is None


def test_a_scaled_loss_gives_the_same_step():
    """A scale that is a power of two changes no bit."""
    weights = []
    for scale in (1.0, 2.0**16):
        torch.manual_seed(0)
        model = nn.Linear(20, 1)
        tree(model, 8, 16).accumulate(mlp_window(), scale, never)
        weights.append(flat_gradient(model) / scale)
    assert torch.equal(*weights)


@pytest.mark.parametrize("accumulator", [tree, ddp])
def test_a_loss_that_is_not_finite_names_its_slot(accumulator):
    model = nn.Linear(20, 1)
    window = mlp_window()
    window.batches[2]["target"][0] = torch.nan
    with pytest.raises(NonFiniteLossError) as caught:
        accumulator(model, 8, 16).accumulate(window, 1.0, never)
    assert caught.value.slot == 2


def test_a_request_to_stop_is_reported():
    model = nn.Linear(20, 1)
    assert tree(model, 8, 16).accumulate(mlp_window(), 1.0, lambda: True).should_stop
    assert not tree(model, 8, 16).accumulate(mlp_window(), 1.0, never).should_stop
