"""A training gives the weights of ten plain lines of PyTorch over whole batches, in float64.

The model has a layer that takes part in every second window, and one that takes part in none. It
has no dropout and no batch statistics, which differ by their nature.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from memtrain.config.running import RunningSettings
from memtrain.core.errors import UserError
from memtrain.core.random_streams import torch_seed
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer
from tests.unit.training.test_optimizers import VERSIONS

pytestmark = pytest.mark.slow

CLASSES = 3


class Network(nn.Module):
    def __init__(self, out_features, activation=None, bias=True):
        super().__init__()
        self.inner = nn.Linear(4, 5, bias)
        self.outer = nn.Linear(5, out_features, bias)
        self.branch = nn.Linear(4, out_features, bias)
        self.unused = nn.Linear(4, 3, bias)
        self.activation = {
            None: nn.Identity(),
            "log_softmax": nn.LogSoftmax(1),
            "sigmoid": nn.Sigmoid(),
        }[activation]
        self.double()

    def forward(self, features):
        features = features.double()
        outputs = self.outer(torch.tanh(self.inner(features)))
        if features[0, 0] > 0:
            outputs = outputs + self.branch(features)
        return self.activation(outputs)


class Straight(nn.Module):
    """A model whose slots can be computed in one call."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        self.unused = nn.Linear(4, 3)

    def forward(self, features):
        return self.layers(features.double())


def numbers(generator, rows):
    return generator.normal(size=(rows, 1)).astype(np.float32)


def threes(generator, rows):
    return np.hstack([numbers(generator, rows) for _ in range(3)])


def zeros_and_ones(generator, rows):
    return generator.integers(0, 2, (rows, 1)).astype(np.float32)


def ones_with_signs(generator, rows):
    return 2 * zeros_and_ones(generator, rows) - 1


def classes(generator, rows):
    return generator.integers(0, CLASSES, rows)


#: Losses, with what they take: the targets, and the activation of the outputs.
LOSSES = [
    ({"name": "MSELoss"}, numbers, None),
    ({"name": "L1Loss"}, numbers, None),
    ({"name": "SmoothL1Loss", "beta": 0.5}, numbers, None),
    ({"name": "HuberLoss", "delta": 0.7}, numbers, None),
    ({"name": "PoissonNLLLoss"}, zeros_and_ones, None),
    ({"name": "BCEWithLogitsLoss"}, zeros_and_ones, None),
    ({"name": "BCELoss"}, zeros_and_ones, "sigmoid"),
    ({"name": "SoftMarginLoss"}, ones_with_signs, None),
    ({"name": "CrossEntropyLoss", "label_smoothing": 0.1}, classes, None),
    ({"name": "NLLLoss"}, classes, "log_softmax"),
    ({"name": "MultiMarginLoss", "margin": 0.5}, classes, None),
]

SCHEDULERS = [
    {"name": "ConstantLR", "factor": 0.5, "total_iters": 3},
    {"name": "CosineAnnealingLR", "T_max": 7},
    {"name": "CosineAnnealingWarmRestarts", "T_0": 3},
    {"name": "CyclicLR", "base_lr": 0.001, "max_lr": 0.01, "step_size_up": 3},
    {"name": "ExponentialLR", "gamma": 0.9},
    {"name": "LinearLR", "total_iters": 4},
    {"name": "MultiStepLR", "milestones": [2, 3, 5]},
    {"name": "OneCycleLR", "max_lr": 0.01, "total_steps": 200},
    {"name": "PolynomialLR", "total_iters": 6, "power": 2},
    {"name": "StepLR", "step_size": 2, "gamma": 0.5},
]

WINDOWS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 5),
        "accumulation_steps": st.integers(1, 4),
        "last_window": st.sampled_from(["step", "drop"]),
        "clip_norm": st.sampled_from([None, 0.3, 100.0]),
        "reduction": st.sampled_from(["reproducible", "fast"]),
    }
)


def rows_of(training, make_target):
    """Return 43 rows; the sign of their first feature differs from window to window."""
    generator = np.random.default_rng(7)
    features = generator.normal(size=(43, 4)).astype(np.float32)
    size = training["batch_size"] * training["accumulation_steps"]
    features[:, 0] = np.where(np.arange(43) // size % 2, 1, -1) * np.abs(features[:, 0])
    return features, make_target(generator, 43)


def build(module, choice, *given, **fixed):
    arguments = {name: value for name, value in choice.items() if name != "name"}
    return getattr(module, choice["name"])(*given, **arguments, **fixed)


def train_plainly(training, model, features, target, parts=None):
    """Train in as few lines of PyTorch as possible: every window is one batch.

    Args:
        training: the settings.
        model: the model.
        features: features of all rows.
        target: targets of all rows.
        parts: returns the optimizer and the schedule of a model in a training of so many steps;
            None for those that the settings name.
    """
    loss = build(nn, training["loss"], reduction="sum")
    size = training["batch_size"] * training["accumulation_steps"]
    if parts is None:
        optimizer = build(torch.optim, training["optimizer"], model.parameters())
        schedule = training.get("scheduler")
        if schedule:
            schedule = build(torch.optim.lr_scheduler, schedule, optimizer)
    else:
        round_down = training["last_window"] == "drop"
        steps = len(features) // size if round_down else -(-len(features) // size)
        optimizer, schedule = parts(model, steps * training["epochs"])
    for _ in range(training["epochs"]):
        for rows in torch.arange(len(features)).split(size):
            if len(rows) < size and training["last_window"] == "drop":
                continue
            optimizer.zero_grad()
            is_mean = training.get("normalize") == "elements"
            divisor = target[rows].numel() if is_mean else len(rows)
            (loss(model(features[rows]), target[rows]) / divisor).backward()
            if training["clip_norm"]:
                nn.utils.clip_grad_norm_(model.parameters(), training["clip_norm"])
            optimizer.step()
            if schedule:
                schedule.step()
    return optimizer


def assert_equals_plain_loop(
    resolve, training, model, make_target=numbers, running=None, parts=None
):
    """Train in both ways, and compare weights and optimizer state."""
    training = training | {"shuffle": "none", "epochs": 2, "seed": 3}
    features, target = rows_of(training, make_target)
    data, recipe = resolve(
        features, target, training, classes=CLASSES if make_target is classes else None
    )
    trainer = Trainer(recipe, data, RunContext(running=running or RunningSettings()))
    weights = trainer.run().weights

    torch.manual_seed(torch_seed(3, "initial weights"))
    plain = model()
    target = torch.from_numpy(target)
    optimizer = train_plainly(
        training,
        plain,
        torch.from_numpy(features),
        target if make_target is classes else target.double(),
        parts,
    )
    # Muon rounds what it computes to bfloat16.
    close = {"rtol": 1e-9, "atol": 1e-12 if training["optimizer"]["name"] != "Muon" else 1e-4}
    for name, value in plain.state_dict().items():
        assert torch.allclose(weights[name], value, **close), name
    states = [one.state_dict()["state"] for one in (trainer._parts.optimizer, optimizer)]
    assert states[0].keys() == states[1].keys()
    for number, state in states[1].items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                assert torch.allclose(states[0][number][name], value, **close), name
            else:
                assert states[0][number][name] == pytest.approx(value, rel=1e-9)


class Signs(torch.optim.Optimizer):
    """An optimizer of the user's own: steps by the sign of a mean of gradients, as Lion does."""

    def __init__(self, params, lr, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for part in group["params"]:
                if part.grad is not None:
                    state = self.state[part]
                    mean = state.setdefault("mean", torch.zeros_like(part))
                    mean.lerp_(part.grad, 1 - group["beta"])
                    state["steps"] = state.get("steps", 0) + 1
                    part.sub_(mean.sign() * (group["lr"] / state["steps"]))


def sign_of_mean(model, steps):
    optimizer = Signs(model.parameters(), 0.01, beta=0.8)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)


def with_groups(model, steps):
    """Return an optimizer with groups, and a schedule that warms up for a tenth of the steps."""
    biases = [model.inner.bias, model.branch.bias, model.unused.bias]
    groups = [
        {"params": [model.inner.weight, model.branch.weight, model.unused.weight]},
        {"params": biases, "weight_decay": 0},
        {"params": [model.outer.weight], "lr": 0.003},
        {"params": [model.outer.bias], "lr": 0.003, "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.5)
    rise = max(1, int(steps / 10 + 0.5))
    schedules = [
        torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (rise + 1), total_iters=rise),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - rise),
    ]
    return optimizer, torch.optim.lr_scheduler.SequentialLR(optimizer, schedules, [rise])


def in_a_chain(model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedules = [
        torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=steps),
        torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
    ]
    return optimizer, torch.optim.lr_scheduler.ChainedScheduler(schedules)


def few_examples(count):
    return settings(max_examples=count, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(windows=WINDOWS)
@few_examples(4)
def test_a_loss_of_elements_equals_the_plain_loop(resolve, windows):
    optimizer = {"name": "SGD", "lr": 0.05, "momentum": 0.9}
    training = windows | {"loss": {"name": "MSELoss"}, "optimizer": optimizer}
    training |= {"model": f"{__name__}:Network", "normalize": "elements"}
    assert_equals_plain_loop(resolve, training, lambda: Network(3), threes)


@pytest.mark.parametrize("optimizer", VERSIONS, ids=lambda version: version["name"])
@given(windows=WINDOWS)
@few_examples(3)
def test_every_optimizer_equals_the_plain_loop(resolve, optimizer, windows):
    bias = optimizer["name"] != "Muon"
    model = {"name": f"{__name__}:Network", "bias": bias}
    training = windows | {"model": model, "loss": {"name": "MSELoss"}, "optimizer": optimizer}
    assert_equals_plain_loop(resolve, training, lambda: Network(1, bias=bias))


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda scheduler: scheduler["name"])
@given(windows=WINDOWS, momentum=st.sampled_from([0, 0.9]))
@few_examples(3)
def test_every_schedule_equals_the_plain_loop(resolve, scheduler, windows, momentum):
    training = windows | {
        "model": f"{__name__}:Network",
        "loss": {"name": "MSELoss"},
        "optimizer": {"name": "SGD", "lr": 0.01, "momentum": momentum},
        "scheduler": scheduler,
    }
    assert_equals_plain_loop(resolve, training, lambda: Network(1))


@pytest.mark.parametrize(
    ("training", "parts"),
    [
        (
            {
                "optimizer": {"name": f"{__name__}:Signs", "lr": 0.01, "beta": 0.8},
                "scheduler": {"name": "LambdaLR", "lr_lambda": f"{__name__}:decayed"},
            },
            sign_of_mean,
        ),
        (
            {
                "optimizer": {
                    "name": "AdamW",
                    "lr": 0.01,
                    "weight_decay": 0.5,
                    "groups": [{"match": "outer.*", "lr": 0.003}],
                    "no_decay": ["bias", "norm"],
                },
                "scheduler": {"name": "CosineAnnealingLR", "warmup": "10%"},
            },
            with_groups,
        ),
        (
            {
                "optimizer": {"name": "SGD", "lr": 0.1, "momentum": 0.9},
                "scheduler": {
                    "name": "ChainedScheduler",
                    "schedulers": ["LinearLR", {"name": "ExponentialLR", "gamma": 0.9}],
                },
            },
            in_a_chain,
        ),
    ],
    ids=["own optimizer", "groups and warmup", "chain"],
)
@given(windows=WINDOWS)
@few_examples(4)
def test_what_is_composed_equals_the_plain_loop(resolve, training, parts, windows):
    training = windows | training | {"model": f"{__name__}:Network", "loss": {"name": "MSELoss"}}
    assert_equals_plain_loop(resolve, training, lambda: Network(1), parts=parts)


def decayed(step):
    return 0.9**step


@pytest.mark.parametrize(
    ("loss", "make_target", "activation"), LOSSES, ids=[loss["name"] for loss, *_ in LOSSES]
)
@given(windows=WINDOWS)
@few_examples(3)
def test_every_loss_equals_the_plain_loop(resolve, loss, make_target, activation, windows):
    training = windows | {
        "model": {"name": f"{__name__}:Network", "activation": activation},
        "loss": loss,
        "optimizer": {"name": "AdamW", "lr": 0.01, "weight_decay": 0.5},
    }
    outputs = CLASSES if make_target is classes else 1
    assert_equals_plain_loop(resolve, training, lambda: Network(outputs, activation), make_target)


def test_slots_in_one_call_equal_the_plain_loop(resolve, caplog):
    caplog.set_level("INFO")
    training = {
        "model": f"{__name__}:Straight",
        "loss": {"name": "MSELoss"},
        "optimizer": {"name": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        "batch_size": 4,
        "accumulation_steps": 2,
        "last_window": "step",
        "clip_norm": 1.0,
    }
    running = RunningSettings(slots_per_call=2)
    assert_equals_plain_loop(resolve, training, Straight, running=running)
    assert "slots in one call: 2 of 2" in caplog.text


@pytest.mark.parametrize(
    "scheduler",
    [
        {"name": "ChainedScheduler", "schedulers": []},
        {"name": "LambdaLR", "lr_lambda": "f"},
        {"name": "MultiplicativeLR", "lr_lambda": "f"},
        {"name": "ReduceLROnPlateau"},
        {"name": "SequentialLR", "schedulers": [], "milestones": []},
    ],
    ids=lambda scheduler: scheduler["name"],
)
def test_every_other_schedule_is_refused(resolve, scheduler):
    features, target = rows_of({"batch_size": 4, "accumulation_steps": 2}, numbers)
    with pytest.raises(UserError, match=r"splits\.one: training\.scheduler[.:]"):
        resolve(features, target, {"scheduler": scheduler})
    known = {
        name
        for name, value in vars(torch.optim.lr_scheduler).items()
        if isinstance(value, type) and issubclass(value, torch.optim.lr_scheduler.LRScheduler)
    }
    # Functions and other schedules cannot be written into a configuration.
    assert known - {one["name"] for one in SCHEDULERS} <= {
        "ChainedScheduler",
        "LRScheduler",
        "LambdaLR",
        "MultiplicativeLR",
        "ReduceLROnPlateau",
        "SequentialLR",
        "_LRScheduler",
    }
