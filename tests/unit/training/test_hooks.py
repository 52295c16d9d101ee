"""Hooks see a training as it is, and cannot change it unnoticed."""

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from memtrain.core.errors import UserError
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer
from tests.trainings import Training
from tests.unit.training.test_selection import EVERY_STEP, FEATURES, OWN, ROWS, SETTINGS, TARGET

#: A module that trains, which keeps what a hook has no way to; and a number that its model uses.
NETWORKS = """
import torch
from torch import nn
from torch.optim import SGD

SCALE = 1.0
made = []


class Net(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        made.append(self)
        self.first = nn.Linear(6, 8)
        self.dropout = nn.Dropout(0.1)
        self.last = nn.Linear(8, out_features)
        self.register_buffer("shift", torch.zeros(6))

    def forward(self, features):
        return self.last(self.dropout(self.first(features + self.shift).relu())) * SCALE


class Momentum(SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr, momentum=0.9)
        made.append(self)
"""

OWN_SETTINGS = SETTINGS | {
    "model": "networks:Net",
    "optimizer": {"name": "networks:Momentum", "lr": 0.01},
    "scheduler": {"name": "CosineAnnealingLR", "warmup": 3},
    "epochs": 3,
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Return a function that makes modules, which are gone after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def make(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    yield make
    for name in ("networks", "probes", "own"):
        sys.modules.pop(name, None)


@pytest.fixture
def train(resolve, modules):
    """Return a function that trains with a hook of a text, and returns the result."""

    def train(hook=None, every=5, networks=NETWORKS, **settings):
        modules(networks=networks, probes=hook or "")
        if hook is not None:
            settings["hooks"] = [{"name": "probes:look", "every": every}]
        data, recipe = resolve(FEATURES, TARGET, OWN_SETTINGS | settings, **ROWS)
        return Trainer(recipe, data, RunContext(hooks_folder=Path("seen"))).run()

    return train


def test_a_hook_sees_the_training_as_it_is(train):
    result = train("""
views = []


def look(view):
    views.append((view, view.weights(), view.model()))
    (view.folder / str(view.step)).touch()
""")
    views = sys.modules["probes"].views
    steps = len(result.history)
    assert steps == 12
    assert [view.step for view, _, _ in views] == [5, 10]
    assert sorted(path.name for path in Path("seen").iterdir()) == ["10", "5"]
    for view, weights, model in views:
        record = result.history[view.step - 1]
        for name in ("epoch", "rows", "loss", "gradient_norm", "learning_rate"):
            assert getattr(view, name) == getattr(record, name)
        assert (view.steps, view.split, view.epochs) == (steps, "one", 3)
        assert view.learning_rates == (result.history[view.step].learning_rate,)
        assert not model.training
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    # Validations come after steps 3, 6, 9 and 12.
    assert [view.validation.step for view, _, _ in views] == [3, 9]
    assert views[1][0].validation == result.validations[2]
    assert train(epochs=1, validate_every={"epochs": 9}).history == result.history[:4]


def test_a_hook_sees_the_weights_after_its_step(train):
    train("""
seen = []


def look(view):
    seen.append(view.weights())
""", every=4)  # fmt: skip
    seen = sys.modules["probes"].seen
    assert len(seen) == 3
    # Without warmup and dropout, since both follow from the number of all steps or the seed.
    last = train().weights
    assert all(torch.equal(value, seen[-1][name]) for name, value in last.items())
    assert not torch.equal(seen[0]["first.weight"], seen[1]["first.weight"])


def test_what_hooks_do_with_copies_and_random_numbers_changes_nothing(train):
    expected = train()
    states = (random.getstate(), np.random.get_state()[1].tolist())
    found = train("""
import random

import numpy as np
import torch

drawn = []


def look(view):
    drawn.append((view.step, float(torch.rand(1)), np.random.rand(), random.random()))
    for part in view.weights().values():
        part.zero_()
    model = view.model()
    with torch.enable_grad():
        model.train()
        model(torch.ones(4, 6)).sum().backward()
    model.first.weight.data.zero_()
    model.register_forward_hook(print)
    view.learning_rates + (1.0,)
""", every=1)  # fmt: skip
    assert found.history == expected.history
    assert found.validations == expected.validations
    assert all(torch.equal(part, expected.weights[name]) for name, part in found.weights.items())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    assert len({numbers[1:] for numbers in sys.modules["probes"].drawn}) == 12


MISCHIEF = {
    "model.first.weight.zero_()": "the parameter first.weight of the model",
    "model.first.weight.data[0, 0] += 1": "the parameter first.weight of the model",
    "model.first.weight.numpy()[:] = 0": "the parameter first.weight of the model",
    "model.first.weight.data = torch.zeros(8, 6)": "the parameter first.weight of the model",
    "model.first.weight = nn.Parameter(torch.zeros(8, 6))": "the parameter first.weight",
    "model.first.weight.requires_grad = False": "the parameter first.weight of the model",
    "model.first.weight.grad = torch.ones(8, 6)": "the parameter first.weight of the model",
    "model.first.weight.register_hook(print)": "the parameter first.weight of the model",
    "model.shift.add_(1)": "the buffer shift of the model",
    "model.eval()": "the attribute training of the model",
    "model.dropout.p = 0.5": "the attribute p of the layer dropout of the model",
    "model.first.register_forward_hook(print)": "_forward_hooks of the layer first of the model",
    "model.last = nn.Linear(8, 1)": "of the layer last of the model",
    "nn.Dropout.forward = lambda self, x: x": "the function `forward` of the layer dropout",
    "optimizer.param_groups[0]['lr'] = 1.0": "the attribute param_groups of the optimizer",
    "next(iter(optimizer.state.values()))['momentum_buffer'].zero_()": "state of the optimizer",
    "optimizer.state.clear()": "the attribute state of the optimizer",
    "networks.SCALE = 2.0": "networks.SCALE",
    "networks.Net = None": "networks.Net",
    "torch.set_default_dtype(torch.float64)": "torch.default_dtype",
    "torch.set_num_threads(torch.get_num_threads() + 1)": "torch.num_threads",
    "torch.use_deterministic_algorithms(False)": "torch.deterministic_debug_mode",
    "torch.set_flush_denormal(True)": "torch.set_flush_denormal",
    "torch.set_float32_matmul_precision('medium')": "torch.float32_matmul_precision",
    "torch.backends.mkldnn.enabled = False": "torch.backends.mkldnn.enabled",
    "np.seterr(over='raise')": "numpy.geterr",
    "os.chdir('/')": "the working directory",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)": "the handler of SIGTERM",
}


@pytest.fixture
def unharmed():
    """Restore the settings of this process that mischief changes."""
    dtype, threads, forward = torch.get_default_dtype(), torch.get_num_threads(), nn.Dropout.forward
    matmul, errors, handler = (
        torch.get_float32_matmul_precision(),
        np.geterr(),
        signal.getsignal(signal.SIGTERM),
    )
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision(matmul)
    torch.backends.mkldnn.enabled = True
    nn.Dropout.forward = forward
    np.seterr(**errors)
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_a_hook_that_changes_the_training_is_named(train, unharmed, mischief):
    hook = f"""
import os
import signal

import numpy as np
import torch
from torch import nn

import networks


def look(view):
    optimizer, model = [one for one in networks.made if view.step][::-1][:2]
    {mischief}
"""
    with pytest.raises(UserError) as error:
        train(hook)
    said = str(error.value)
    assert said.startswith("training.hooks.0: probes:look has changed ")
    assert MISCHIEF[mischief] in said.split(" after step 5. ")[0]


def test_settings_that_an_import_changes_are_named(train, unharmed):
    with pytest.raises(UserError, match=r"the import of probes:look changes torch.default_dtype"):
        train("import torch\ntorch.set_default_dtype(torch.float64)\ndef look(view): ...")


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("look = 3", "'probes:look' is 3; name a class or a function"),
        ("def look(): ...", "look does not take"),
        ("def look(view, more): ...", "look does not take"),
        ("class look: ...", "an object of the class probes:look cannot be called"),
        ("class look:\n    def __init__(self, more): ...", "look does not take"),
        ("def look(view): view.step = 3", "FrozenInstanceError: cannot assign to field 'step'"),
        ("def look(view): 1 / 0", r"ZeroDivisionError: division by zero \(in .*probes.py, line 1"),
        ("import sys\ndef look(view): sys.exit()", "it ends the program"),
    ],
)
def test_hooks_that_do_not_work_are_named(train, hook, expected):
    with pytest.raises(UserError, match=r"training\.hooks\.0: ") as error:
        train(hook)
    assert error.match(expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"hooks": [{"name": "look", "every": 1}]}, "a hook is named by its import path"),
        ({"hooks": [{"name": "probes:look"}]}, "every"),
        ({"hooks": ["probes:look"]}, "every"),
        ({"hooks": [{"name": "probes:look", "every": 0}]}, "every"),
        ({"hooks": [{"name": "probes:look", "every": 1}], "sharding": "fsdp", "reduction": "fast"},
         "no process has the weights that a hook would see"),
    ],
)  # fmt: skip
def test_settings_of_hooks_without_a_meaning_are_refused(train, settings, expected):
    with pytest.raises(UserError, match=expected):
        train(**settings)


#: A hook with a state of its own, which draws, copies, and fails where it is told to.
PROBE = """
import json
import os

import torch


class Probe:
    def __init__(self, prefix):
        self.prefix = prefix
        self.calls = 0

    def __call__(self, view):
        if str(view.step) == os.environ.get("FAIL_AT"):
            raise RuntimeError("the disk is full")
        self.calls += 1
        facts = {
            "loss": view.loss,
            "drawn": float(torch.rand(1)),
            "validation": view.validation and view.validation.loss,
            "norms": {name: float(part.norm()) for name, part in view.weights().items()},
            "output": float(view.model()(torch.ones(1, 6)).sum()),
        }
        (view.folder / f"{self.prefix}-{view.step:03}.json").write_text(json.dumps(facts))
"""


@pytest.mark.slow
def test_with_hooks_the_bytes_are_the_same(resolve, modules):
    """Those of the results, and those that the hook writes; also those without a hook."""
    folder = modules(own=OWN, probes=PROBE)

    def new_training(name, **settings):
        settings = (
            SETTINGS
            | {
                "transform": "own:counted",
                "model": {"name": "mlp", "hidden": [32], "dropout": 0.1},
                "epochs": 8,
                "hooks": [
                    {"name": "probes:Probe", "every": 2, "prefix": "even"},
                    {"name": "probes:Probe", "every": 3, "prefix": "third"},
                ],
            }
            | settings
        )
        data, recipe = resolve(FEATURES, TARGET, settings, **ROWS)
        training = Training(folder / name, data, recipe)
        for module in ("own.py", "probes.py"):
            shutil.copy(folder / module, training.folder)
        return training

    def seen(training):
        return {path.name: path.read_text() for path in (training.folder / "hooks").iterdir()}

    one = new_training("one")
    one.run()
    assert len(seen(one)) == 16 + 10
    plain = new_training("plain", hooks=[])
    plain.run()
    assert one.digests()[1:] == plain.digests()[1:]
    weights, expected = (
        safetensors.torch.load_file(each.folder / "model.safetensors") for each in (one, plain)
    )
    assert all(torch.equal(part, expected[name]) for name, part in weights.items())
    for processes in (2, 4):
        several = new_training(f"{processes}")
        several.run(processes=processes)
        assert several.digests() == one.digests()
        assert seen(several) == seen(one)
    killed = new_training("killed")
    for batch in (40, 2, 60):
        killed.run(*EVERY_STEP, status=-9, KILL_AT=f"0:{batch}")
    killed.run(*EVERY_STEP, processes=2, status=None, KILL_AT="1:15")
    killed.run(*EVERY_STEP)
    assert killed.digests() == one.digests()
    assert seen(killed) == seen(one)

    failing = new_training("failing")
    said = failing.run(processes=2, status=1, FAIL_AT="6")
    assert "training.hooks.0: probes:Probe failed after step 6: RuntimeError: the disk is" in said
    trace = said[said.index("probes:Probe failed:") :]
    assert 'probes.py", line 15, in __call__' in trace.split("RuntimeError")[0]
    assert not (failing.folder / "model.safetensors").exists()
    assert json.loads((failing.state / "progress.json").read_text())["state"] == "failed"
    assert os.listdir(failing.folder / "hooks")
