"""Optimizers: which are refused, and that the fast versions do what the plain ones do."""

import copy
import math

import pytest
import torch
from torch import nn

from memtrain.components.optimizers import build_optimizer
from memtrain.config.optimization import OptimizerChoice
from memtrain.core.errors import UserError
from memtrain.training.distributed.fsdp import ModelState
from memtrain.training.optimizer_step import OptimizerStep

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
VERSIONS = [
    {"name": "Adadelta"},
    {"name": "Adafactor"},
    {"name": "Adagrad"},
    {"name": "Adagrad", "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.1},
    {"name": "Adam"},
    {"name": "Adam", "amsgrad": True, "weight_decay": 0.1},
    {"name": "Adam", "maximize": True, "decoupled_weight_decay": True, "weight_decay": 0.1},
    {"name": "AdamW", "weight_decay": 0.5},
    {"name": "AdamW", "amsgrad": True, "betas": [0.8, 0.9]},
    {"name": "Adamax"},
    {"name": "ASGD"},
    {"name": "Muon"},
    {"name": "NAdam"},
    {"name": "RAdam"},
    {"name": "RMSprop", "momentum": 0.9, "centered": True},
    {"name": "Rprop"},
    {"name": "SGD", "lr": 0.1},
    {"name": "SGD", "lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    {"name": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
]


class Layers(nn.Module):
    """Three matrices, of which the second and the third get a gradient in some steps only."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ParameterList(
            nn.Parameter(torch.randn(3, 2, dtype=torch.float64).to(dtype)) for _ in range(3)
        )


#: Steps in which each of the three matrices has a gradient, and steps with an overflow.
STEPS_WITH_GRADIENT = [{0, 1, 2, 3, 4, 5, 6, 7}, {3, 4, 5, 6, 7}, {1, 2, 4, 7}]
OVERFLOWS = {0, 5}


def train(version, device, clip_norm=None, reloads=False):
    """Take eight steps with random gradients, and return weights and optimizer state."""
    model = Layers().to(device)

    def new_step():
        optimizer = build_optimizer(
            "training.optimizer", OptimizerChoice.model_validate(version), model
        )
        step = OptimizerStep(
            optimizer, None, clip_norm=clip_norm, scales_loss=True, device=torch.device(device)
        )
        return optimizer, step

    optimizer, step = new_step()
    generator = torch.Generator().manual_seed(1)
    for number in range(8):
        for part, steps in zip(model.layers, STEPS_WITH_GRADIENT, strict=True):
            gradient = torch.randn(3, 2, generator=generator, dtype=torch.float64).to(device)
            part.grad = gradient * step.scale if number in steps else None
        if number in OVERFLOWS:
            model.layers[0].grad[1, 1] = math.inf
        assert step.take().skipped == (number in OVERFLOWS)
        if reloads and number == 4:
            state = copy.deepcopy((ModelState(model, optimizer).state_dict(), step.state_dict()))
            optimizer, step = new_step()
            ModelState(model, optimizer).load_state_dict(state[0])
            step.load_state_dict(state[1])
    return [part.detach().cpu() for part in model.layers], optimizer


def tolerance(version):
    """Return a relative tolerance. ASGD keeps its step sizes in float32, even for float64."""
    return 1e-6 if version["name"] == "ASGD" else 1e-10


def assert_equal_states(optimizer, other, rtol):
    states = [one.state_dict()["state"] for one in (optimizer, other)]
    assert states[0].keys() == states[1].keys()
    for number, state in states[0].items():
        assert state.keys() == states[1][number].keys()
        for name, value in state.items():
            if value is not None:
                expected = torch.as_tensor(states[1][number][name], dtype=torch.float64)
                found = torch.as_tensor(value, dtype=torch.float64)
                assert torch.allclose(found.cpu(), expected.cpu(), rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reloads", [False, True])
@pytest.mark.parametrize("clip_norm", [None, 0.7])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version["name"])
def test_the_chosen_version_does_what_the_plain_one_does(version, clip_norm, reloads, device):
    """This includes skipped steps, absent gradients, clipping, and a state that is reloaded."""
    has_versions = version["name"] not in ("Adafactor", "Muon")
    plain = version | ({"foreach": False} if has_versions else {})
    expected, expected_optimizer = train(plain, device, clip_norm)
    others = [version, version | {"foreach": True}] if has_versions else [version]
    for other in others:
        weights, optimizer = train(other, device, clip_norm, reloads)
        for found, value in zip(weights, expected, strict=True):
            assert torch.allclose(found, value, rtol=tolerance(version), atol=1e-14)
        assert_equal_states(optimizer, expected_optimizer, tolerance(version))


def test_every_optimizer_of_pytorch_is_tried_or_refused():
    tried = {version["name"] for version in VERSIONS}
    optimizers = {
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }
    assert optimizers == tried | {"Optimizer", "LBFGS", "SparseAdam"}


@pytest.mark.parametrize(
    ("version", "fused"),
    [
        ("Adam", True),
        ("AdamW", True),
        ("Adagrad", True),
        ({"name": "Adam", "fused": False}, False),
        ({"name": "Adam", "foreach": True}, None),
        ({"name": "SGD", "lr": 0.1}, None),
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9}, None),
        ("Adamax", None),
    ],
)
def test_optimizers_are_fused_where_that_is_the_same(version, fused):
    optimizer = build_optimizer("", OptimizerChoice.model_validate(version), Layers())
    assert optimizer.param_groups[0].get("fused") is fused


@pytest.mark.parametrize(
    ("version", "model", "expected"),
    [
        ("LBFGS", nn.Linear(2, 1), "the optimizer cannot take a step, since LBFGS needs more"),
        ("SparseAdam", nn.Linear(2, 1), "SparseAdam takes sparse gradients alone"),
        ("Muon", nn.Linear(2, 1), r"Muon trains matrices alone, but the model has bias \(1,\)"),
        ({"name": "SGD", "fused": True}, nn.Linear(2, 1), "fused: true.*Remove `fused`"),
        ("Adam", nn.Flatten(), "the model has no parameter to train"),
        ({"name": "Adam", "lr": -1}, nn.Linear(2, 1), r"Adam refuses lr=-1: ValueError"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(version, model, expected):
    with pytest.raises(UserError, match=rf"^training\.optimizer: .*{expected}"):
        build_optimizer("training.optimizer", OptimizerChoice.model_validate(version), model)
