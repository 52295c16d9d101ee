"""Schedules: compositions, warmup, numbers that are filled in, one's own, and going on."""

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim
from torch.optim import lr_scheduler

from memtrain.components.schedules import Extent, build_scheduler
from memtrain.config.optimization import ScheduleChoice
from memtrain.config.parsing import parse_settings

STEPS = 20
EXTENT = Extent(steps=STEPS, steps_per_epoch=5, epochs=4)

#: Learning rates of the groups, of which the first has that of the optimizer.
RATES = (0.1, 0.02, 0.5)


def inverse_root(step, power=0.5):
    return (step + 1) ** -power


def one_of_numpy(step):
    return torch.tensor(1.0).numpy() / (step + 1)


def cosine(step, steps, steps_per_epoch, epochs):
    assert (steps_per_epoch, epochs) == (5, 4)
    return (steps - step) / steps


class Halving(lr_scheduler.LRScheduler):
    """Halves the rate each so many steps, and remembers in an attribute when it did."""

    def __init__(self, optimizer, every_steps):
        self.every_steps = every_steps
        self.halved = []
        super().__init__(optimizer)

    def get_lr(self):
        halves = self.last_epoch > 0 and self.last_epoch % self.every_steps == 0
        if halves:
            self.halved.append(self.last_epoch)
        return [group["lr"] / (2 if halves else 1) for group in self.optimizer.param_groups]


#: Schedules with factors, and the same ones as PyTorch builds them.
FACTORS = {
    "constant": (
        {"name": "ConstantLR", "factor": 0.5, "total_iters": 3},
        lambda o: lr_scheduler.ConstantLR(o, 0.5, 3),
    ),
    "cosine": (
        {"name": "CosineAnnealingLR", "T_max": 7},
        lambda o: lr_scheduler.CosineAnnealingLR(o, 7),
    ),
    "restarts": (
        {"name": "CosineAnnealingWarmRestarts", "T_0": 3},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    ),
    "exponential": (
        {"name": "ExponentialLR", "gamma": 0.9},
        lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    ),
    "linear": (
        {"name": "LinearLR", "total_iters": 4},
        lambda o: lr_scheduler.LinearLR(o, total_iters=4),
    ),
    "milestones": (
        {"name": "MultiStepLR", "milestones": [2, 3, 5]},
        lambda o: lr_scheduler.MultiStepLR(o, [2, 3, 5]),
    ),
    "polynomial": (
        {"name": "PolynomialLR", "total_iters": 6, "power": 2},
        lambda o: lr_scheduler.PolynomialLR(o, 6, 2),
    ),
    "steps": (
        {"name": "StepLR", "step_size": 2, "gamma": 0.5},
        lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    ),
    "function": (
        {"name": f"{__name__}:inverse_root", "power": 0.3},
        lambda o: lr_scheduler.LambdaLR(o, lambda step: inverse_root(step, 0.3)),
    ),
    "lambda": (
        {"name": "LambdaLR", "lr_lambda": f"{__name__}:inverse_root"},
        lambda o: lr_scheduler.LambdaLR(o, inverse_root),
    ),
    "multiplied": (
        {
            "name": "MultiplicativeLR",
            "lr_lambda": {"name": f"{__name__}:inverse_root", "power": 0.1},
        },
        lambda o: lr_scheduler.MultiplicativeLR(o, lambda step: inverse_root(step, 0.1)),
    ),
    "own": (
        {"name": f"{__name__}:Halving", "every_steps": 3},
        lambda o: Halving(o, 3),
    ),
}
#: Schedules that set rates; their momentum is part of the state, too.
ABSOLUTE = {
    "cyclic": (
        {"name": "CyclicLR", "base_lr": 0.001, "max_lr": 0.01, "step_size_up": 3},
        lambda o: lr_scheduler.CyclicLR(
            o,
            [0.001 * (rate / 0.1) for rate in RATES],
            [0.01 * (rate / 0.1) for rate in RATES],
            3,
        ),
    ),
    "cycle": (
        {"name": "OneCycleLR", "max_lr": 0.01, "total_steps": 21},
        lambda o: lr_scheduler.OneCycleLR(o, [0.01 * (rate / 0.1) for rate in RATES], 21),
    ),
}
ALL = FACTORS | ABSOLUTE


def new_optimizer():
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in RATES]
    return optim.SGD(groups, lr=RATES[0], momentum=0.9)


def scheduled(choice, extent=EXTENT):
    """Return an optimizer and its schedule."""
    optimizer = new_optimizer()
    choice = parse_settings(ScheduleChoice, choice)
    return optimizer, build_scheduler("training.scheduler", choice, optimizer, extent)


def rates_of(optimizer, scheduler, steps):
    """Return the learning rate and momentum of all groups for each step."""
    rates = []
    for _ in range(steps):
        rates.append([(group["lr"], group["momentum"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return rates


def alone(build, steps=STEPS):
    """Return the rates of one schedule of PyTorch's."""
    optimizer = new_optimizer()
    return rates_of(optimizer, build(optimizer), steps)


def approx(rates):
    return [[pytest.approx(pair, rel=1e-9) for pair in groups] for groups in rates]


@pytest.mark.parametrize("name", ALL)
def test_a_schedule_is_that_of_pytorch_in_every_group(name):
    choice, build = ALL[name]
    assert rates_of(*scheduled(choice), STEPS) == approx(alone(build))


@pytest.mark.slow
@given(names=st.lists(st.sampled_from(list(ALL)), min_size=1, max_size=3), data=st.data())
def test_schedules_that_follow_one_another_each_begin_anew(names, data):
    milestones = sorted(
        data.draw(
            st.lists(
                st.integers(1, STEPS - 1),
                min_size=len(names) - 1,
                max_size=len(names) - 1,
                unique=True,
            )
        )
    )
    choice = {
        "name": "SequentialLR",
        "schedulers": [ALL[name][0] for name in names],
        "milestones": milestones,
    }
    expected = []
    for name, start, end in zip(names, [0, *milestones], [*milestones, STEPS], strict=True):
        expected += alone(ALL[name][1])[: end - start]
    assert rates_of(*scheduled(choice), STEPS) == approx(expected)


@pytest.mark.slow
@given(names=st.lists(st.sampled_from(list(FACTORS)), min_size=1, max_size=3))
def test_the_factors_of_chained_schedules_are_multiplied(names):
    choice = {"name": "ChainedScheduler", "schedulers": [FACTORS[name][0] for name in names]}
    expected = [[(rate, 0.9) for rate in RATES] for _ in range(STEPS)]
    for name in names:
        for step, groups in enumerate(alone(FACTORS[name][1])):
            expected[step] = [
                (product * (rate / base), 0.9)
                for (product, _), (rate, _), base in zip(expected[step], groups, RATES, strict=True)
            ]
    assert rates_of(*scheduled(choice), STEPS) == approx(expected)


def test_compositions_are_those_of_pytorch_where_these_are_right():
    choice = {
        "name": "SequentialLR",
        "schedulers": ["LinearLR", {"name": "CosineAnnealingLR", "eta_min": 0.001}],
        "milestones": ["20%"],
    }
    optimizer = new_optimizer()
    parts = [
        lr_scheduler.LinearLR(optimizer, total_iters=4),
        lr_scheduler.CosineAnnealingLR(optimizer, 16, 0.001),
    ]
    plain = rates_of(optimizer, lr_scheduler.SequentialLR(optimizer, parts, [4]), STEPS)
    assert rates_of(*scheduled(choice), STEPS) == approx(plain)
    choice = {
        "name": "ChainedScheduler",
        "schedulers": ["LinearLR", {"name": "ExponentialLR", "gamma": 0.9}],
    }
    optimizer = new_optimizer()
    parts = [
        lr_scheduler.LinearLR(optimizer, total_iters=STEPS),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
    ]
    plain = rates_of(optimizer, lr_scheduler.ChainedScheduler(parts), STEPS)
    assert rates_of(*scheduled(choice), STEPS) == approx(plain)


@pytest.mark.parametrize(
    ("warmup", "steps", "first"),
    [
        (4, 4, 1 / 5),
        ("4 steps", 4, 1 / 5),
        ({"steps": 4, "start_factor": 0.5}, 4, 0.5),
        ("20%", 4, 1 / 5),
        ("1 epoch", 5, 1 / 6),
        ({"epochs": 0.5}, 3, 1 / 4),
        ("0.1%", 1, 1 / 2),
        (0, 0, 1),
    ],
)
@pytest.mark.parametrize("name", ["cosine", "cyclic", "own", "multiplied"])
def test_a_warmup_rises_by_the_same_amount_at_each_step(warmup, steps, first, name):
    rates = rates_of(*scheduled(ALL[name][0] | {"warmup": warmup}), STEPS)
    factors = [first + (1 - first) * step / steps for step in range(steps)]
    expected = [[(rate * factor, 0.9) for rate in RATES] for factor in factors]
    assert rates == approx(expected + alone(ALL[name][1])[: STEPS - steps])


def test_a_warmup_alone_keeps_the_rate_afterwards():
    rates = rates_of(*scheduled({"warmup": 3}), STEPS)
    assert [groups[0][0] for groups in rates[:5]] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert rates[-1] == rates[3]


@pytest.mark.parametrize(
    ("choice", "build"),
    [
        ("CosineAnnealingLR", lambda o: lr_scheduler.CosineAnnealingLR(o, 20)),
        (
            {"name": "CosineAnnealingLR", "T_max": "steps"},
            lambda o: lr_scheduler.CosineAnnealingLR(o, 20),
        ),
        (
            {"name": "CosineAnnealingLR", "T_max": "50%"},
            lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
        ),
        (
            {"name": "CosineAnnealingLR", "T_max": {"epochs": 3}},
            lambda o: lr_scheduler.CosineAnnealingLR(o, 15),
        ),
        ("LinearLR", lambda o: lr_scheduler.LinearLR(o, total_iters=20)),
        ("PolynomialLR", lambda o: lr_scheduler.PolynomialLR(o, 20)),
        (
            {"name": "MultiStepLR", "milestones": ["10%", 7, "3 epochs"]},
            lambda o: lr_scheduler.MultiStepLR(o, [2, 7, 15]),
        ),
        ({"name": "StepLR", "step_size": "epoch"}, lambda o: lr_scheduler.StepLR(o, 5)),
        (
            {"name": "CosineAnnealingWarmRestarts", "T_0": "1 epoch"},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
        ),
        ({"name": f"{__name__}:Halving", "every_steps": "25%"}, lambda o: Halving(o, 5)),
        (f"{__name__}:cosine", lambda o: lr_scheduler.LambdaLR(o, lambda step: (20 - step) / 20)),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_numbers_of_steps_follow_from_the_recipe(choice, build):
    choice = {"name": choice} if isinstance(choice, str) else choice
    assert rates_of(*scheduled(choice), STEPS) == approx(alone(build))


@pytest.mark.parametrize(
    ("given", "total"),
    [({}, 20), ({"epochs": 6}, 30), ({"steps_per_epoch": 7}, 28), ({"total_steps": "150%"}, 30)],
)
def test_one_cycle_needs_no_numbers_of_steps(given, total):
    _, scheduler = scheduled({"name": "OneCycleLR", "max_lr": 0.1} | given)
    assert scheduler.total_steps == total


COMPOSED = {
    **{name: choice for name, (choice, _) in ALL.items()},
    **{f"warmup, then {name}": choice | {"warmup": 3} for name, (choice, _) in ALL.items()},
    "nested": {
        "name": "SequentialLR",
        "warmup": 2,
        "schedulers": [
            {
                "name": "SequentialLR",
                "schedulers": [FACTORS["own"][0], FACTORS["multiplied"][0]],
                "milestones": [5],
            },
            {
                "name": "ChainedScheduler",
                "schedulers": [FACTORS["milestones"][0], FACTORS["cosine"][0] | {"warmup": 2}],
            },
        ],
        "milestones": [9],
    },
}
del COMPOSED["warmup, then cycle"]


@pytest.mark.parametrize("name", COMPOSED)
def test_every_schedule_goes_on_from_what_a_checkpoint_holds(name):
    expected = rates_of(*scheduled(COMPOSED[name]), STEPS)
    for stop in range(STEPS):
        optimizer, scheduler = scheduled(COMPOSED[name])
        assert rates_of(optimizer, scheduler, stop) == expected[:stop]
        file = io.BytesIO()
        torch.save([optimizer.state_dict(), scheduler.state_dict()], file)
        file.seek(0)
        states = torch.load(file, weights_only=True)
        optimizer, scheduler = scheduled(COMPOSED[name])
        optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        assert rates_of(optimizer, scheduler, STEPS - stop) == expected[stop:]


def test_the_factors_of_a_function_are_numbers_that_a_checkpoint_can_hold():
    optimizer, scheduler = scheduled({"name": f"{__name__}:one_of_numpy"})
    rates_of(optimizer, scheduler, 3)
    assert all(type(group["lr"]) is float for group in optimizer.param_groups)
