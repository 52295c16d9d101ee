"""The accumulated gradient is the gradient of the window as one batch."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from memtrain.accumulation import NonFiniteLossError, accumulate_gradient, step_window

LOSSES = {
    "MSELoss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "L1Loss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "HuberLoss": lambda rows, outputs: torch.randn(rows, outputs, dtype=torch.float64),
    "CrossEntropyLoss": lambda rows, outputs: torch.randint(outputs, (rows,)),
}


def window_of(rows, batch_size, features, target):
    return [
        {
            "features": features[start : start + batch_size],
            "target": target[start : start + batch_size],
        }
        for start in range(0, rows, batch_size)
    ]


@given(
    rows=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    columns=st.integers(1, 6),
    outputs=st.integers(1, 4),
    loss=st.sampled_from(sorted(LOSSES)),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_gradient_is_that_of_one_batch(rows, batch_size, columns, outputs, loss, seed):
    """Also where the last micro-batch is short, and for any number of micro-batches."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(columns, 5), nn.Tanh(), nn.Linear(5, outputs)).double()
    whole = copy.deepcopy(model)
    features = torch.randn(rows, columns, dtype=torch.float64)
    target = LOSSES[loss](rows, outputs)
    summed = getattr(nn, loss)(reduction="sum")

    counted, losses = accumulate_gradient(
        model, summed, window_of(rows, batch_size, features, target)
    )
    expected = summed(whole(features), target) / rows
    expected.backward()

    assert counted == rows
    assert torch.allclose(losses.sum() / rows, expected, rtol=1e-12)
    for part, other in zip(model.parameters(), whole.parameters(), strict=True):
        scale = other.grad.abs().max().clamp(min=1e-3)
        assert (part.grad - other.grad).abs().max() <= 1e-12 * scale


def linear_window(model, rows=7):
    features, target = torch.randn(rows, 3), torch.randn(rows, 1)
    return window_of(rows, 2, features, target)


def test_nothing_is_left_for_the_next_window():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first, second = linear_window(model), linear_window(model)
    step_window(model, nn.MSELoss(reduction="sum"), optimizer, first)
    assert all(part.grad is None for part in model.parameters())
    fresh = copy.deepcopy(model)
    result = step_window(model, nn.MSELoss(reduction="sum"), optimizer, second)
    alone = step_window(
        fresh,
        nn.MSELoss(reduction="sum"),
        torch.optim.SGD(fresh.parameters(), lr=0.1),
        second,
    )
    assert result == alone


def test_the_norm_is_that_of_the_whole_gradient():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    window = linear_window(model)
    result = step_window(
        model, nn.MSELoss(reduction="sum"), torch.optim.SGD(model.parameters(), lr=0.0), window
    )
    accumulate_gradient(model, nn.MSELoss(reduction="sum"), window)
    squares = sum(part.grad.double().square().sum() for part in model.parameters())
    assert result.gradient_norm == pytest.approx(squares.sqrt().item(), rel=1e-6)


def test_a_loss_that_is_not_finite_stops_before_the_step():
    model = nn.Linear(3, 1)
    window = linear_window(model)
    window[2]["target"][0] = torch.nan
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(NonFiniteLossError) as caught:
        step_window(model, nn.MSELoss(reduction="sum"), optimizer, window)
    assert caught.value.slot == 2
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
