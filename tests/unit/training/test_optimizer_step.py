"""Optimizer steps: norm, clipping, and the scale of losses."""

import copy
import math

import pytest
import torch
from torch import nn

from memtrain.training.optimizer_step import NonFiniteGradientError, OptimizerStep
from tests.unit.training.accumulation.accumulators import (
    CPU,
    flat_gradient,
    mlp_window,
    never,
    tree,
)


def optimizer_step(model, optimizer, clip_norm=None, scheduler=None):
    return OptimizerStep(optimizer, scheduler, clip_norm=clip_norm, scales_loss=False, device=CPU)


@pytest.mark.parametrize("clip_norm", [None, 1e-3, 1e3])
def test_the_norm_is_that_of_the_whole_gradient_and_clips_it(clip_norm):
    torch.manual_seed(0)
    model = nn.Linear(20, 1)
    tree(model, 8, 16).accumulate(mlp_window(), 1.0, never)
    gradient, before = flat_gradient(model).double(), copy.deepcopy(model)
    taken = optimizer_step(model, torch.optim.SGD(model.parameters(), lr=1.0), clip_norm).take()
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


@pytest.mark.parametrize("scales_loss", [False, True])
def test_a_gradient_that_stays_infinite_is_an_error(scales_loss):
    model = nn.Linear(2, 1)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = OptimizerStep(optimizer, None, clip_norm=None, scales_loss=scales_loss, device=CPU)

    def take():
        model.weight.grad = torch.tensor([[1.0, math.nan]])
        return step.take()

    if scales_loss:
        for _ in range(30):
            assert take().skipped
    with pytest.raises(NonFiniteGradientError):
        take()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_window_has_no_effect_on_the_gradient_of_the_next():
    torch.manual_seed(0)
    model = nn.Linear(20, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    accumulator, step = tree(model, 8, 16), optimizer_step(model, optimizer)
    accumulator.accumulate(mlp_window(seed=0), 1.0, never)
    step.take()
    assert all(part.grad is None for part in model.parameters())
    fresh = copy.deepcopy(model)
    result = accumulator.accumulate(mlp_window(seed=1), 1.0, never)
    alone = tree(fresh, 8, 16).accumulate(mlp_window(seed=1), 1.0, never)
    assert result == alone
    assert torch.equal(flat_gradient(model), flat_gradient(fresh))
