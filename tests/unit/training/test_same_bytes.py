"""The same bytes with any number of processes, uninterrupted or killed and resumed."""

import csv
import os
import random
import re
import shutil
import signal
import sys

import numpy as np
import psutil
import pytest
import safetensors.torch

from tests.programs import processes_in
from tests.trainings import Training, wait_until
from tests.unit.training import composed

pytestmark = pytest.mark.slow

GENERATOR = np.random.default_rng(4)
FEATURES = GENERATOR.random((403, 64), dtype=np.float32)
TARGET = (FEATURES @ GENERATOR.standard_normal(64)).astype(np.float32)
CLASSES = (FEATURES[:, :8].argmax(1)).astype(np.int64)

#: A user's module: networks, and a transform that kills its process at a given batch.
OWN = """
import os
import signal

import torch
from torch import nn


class Convolutional(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.25), nn.Flatten(),
            nn.Linear(128, out_features),
        )

    def forward(self, features):
        return self.layers(features.reshape(-1, 1, 8, 8))


class Branching(nn.Module):
    # The second layer takes part in some micro-batches, and the third one in none.
    def __init__(self, out_features):
        super().__init__()
        self.always = nn.Linear(64, out_features)
        self.sometimes = nn.Linear(64, out_features)
        self.never = nn.Linear(64, out_features)

    def forward(self, features):
        outputs = self.always(features)
        return outputs + self.sometimes(features) if features[0, 0] > 0.9 else outputs


class Unused(Branching):
    def forward(self, features):
        return self.always(features)


class Wide(nn.Linear):
    def __init__(self, out_features):
        super().__init__(64, out_features)
        self.rest = nn.Parameter(torch.zeros(3_000_000))


batches = 0


def counted(row):
    global batches
    batches += 1
    rank, batch = os.environ.get("KILL_AT", "0:-1").split(":")
    if batches == int(batch) and rank == os.environ.get("RANK", "0"):
        os.kill(os.getpid(), signal.SIGKILL)
    return row


counted.batched = True
"""

CASES = {
    "grouped": composed.CASE,
    "linear": {
        "model": "linear",
        "optimizer": {"name": "SGD", "lr": 0.01, "momentum": 0.9},
        "last_window": "drop",
    },
    "mlp": {
        "model": {"name": "mlp", "hidden": [32, 16], "dropout": 0.2},
        "optimizer": {"name": "Adam", "lr": 0.01},
        "last_window": "step",
    },
    "convolutional": {
        "model": "own:Convolutional",
        "loss": {"name": "CrossEntropyLoss", "weight": [1, 1, 2, 1, 1, 1, 1, 3]},
        "optimizer": {"name": "AdamW", "lr": 0.01, "weight_decay": 0.1},
        "scheduler": {"name": "OneCycleLR", "max_lr": 0.02, "total_steps": 50},
        "clip_norm": 0.5,
        "last_window": "step",
    },
    "branching": {
        "model": "own:Branching",
        "optimizer": {"name": "SGD", "lr": 0.001, "momentum": 0.9, "weight_decay": 0.1},
        "last_window": "step",
    },
}
#: On the CPU, since each of several processes needs a GPU of its own; test_gpu.py has those.
SIZES = {"batch_size": 8, "accumulation_steps": 8, "epochs": 4, "seed": 11, "device": "cpu"}

#: Micro-batches of such a training, transformed one after the other.
MICRO_BATCHES = 200

EVERY_STEP = ("--running", "{checkpoint: {steps: 1}}")
EVERY_THIRD_STEP = ("--running", "{checkpoint: {steps: 3}}")


@pytest.fixture
def new_training(resolve, tmp_path, monkeypatch):
    """Return a function that sets up a training of a case, in a folder of its own."""
    (tmp_path / "own.py").write_text(OWN + composed.OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)

    def make(name, case=None, **changes):
        settings = SIZES | (CASES[case] if case else {}) | {"transform": "own:counted"} | changes
        is_class = case == "convolutional"
        target, classes = (CLASSES, 8) if is_class else (TARGET, None)
        data, recipe = resolve(FEATURES, target, settings, classes=classes)
        training = Training(tmp_path / name, data, recipe)
        shutil.copy(tmp_path / "own.py", training.folder)
        return training

    return make


@pytest.mark.parametrize("case", CASES)
def test_one_two_and_four_processes_give_the_same_bytes(new_training, case):
    one = new_training("one", case)
    one.run()
    assert not one.state.exists()
    for processes in (2, 4):
        several = new_training(f"{processes}", case)
        several.run(processes=processes)
        assert several.digests() == one.digests()
        assert several.performance()["processes"] == processes


@pytest.mark.parametrize("case", CASES)
def test_a_training_killed_at_random_steps_gives_the_same_bytes(new_training, case):
    """Each training is killed five times, once before it can save anything after a resumption."""
    uninterrupted = new_training("uninterrupted", case)
    uninterrupted.run()
    chosen = random.Random(case)
    killed = new_training("killed", case)
    before = 0
    for number in range(4):
        batch = chosen.randrange(1, MICRO_BATCHES // 3)
        said = killed.run(*EVERY_THIRD_STEP, status=-9, KILL_AT=f"0:{batch}")
        assert ("going on after step" in said) == bool(before), (number, said)
        before = max(killed.checkpoints(), default=0)
        if number == 1:
            killed.run(*EVERY_THIRD_STEP, status=-9, KILL_AT="0:1")
    killed.run(*EVERY_THIRD_STEP)
    assert killed.digests() == uninterrupted.digests()
    assert killed.performance()["runs"] >= 2


def test_a_training_of_two_processes_is_resumed_with_one_and_with_four(new_training):
    uninterrupted = new_training("uninterrupted", "mlp")
    uninterrupted.run()
    killed = new_training("killed", "mlp")
    killed.run(*EVERY_THIRD_STEP, processes=2, status=None, KILL_AT="1:40")
    steps = killed.checkpoints()
    assert steps
    killed.run(*EVERY_THIRD_STEP, status=-9, KILL_AT="0:60")
    assert killed.checkpoints() > steps
    assert "going on after" in killed.run(*EVERY_THIRD_STEP, processes=4)
    assert killed.digests() == uninterrupted.digests()


def test_a_training_killed_while_saving_gives_the_same_bytes(new_training):
    """A state of 36 MB is being written most of the time, so that a kill leaves a part of it."""
    big = {"model": "own:Wide", "optimizer": "Adam", "epochs": 2}
    uninterrupted = new_training("uninterrupted", **big)
    uninterrupted.run()
    killed = new_training("killed", **big)
    parts = []
    for number in range(3):
        with killed.started(*EVERY_STEP):
            wait_until(lambda number=number: len(killed.checkpoints()) >= min(number + 1, 2))
            running = processes_in(killed.folder)
            wait_until(lambda: list(killed.state.glob(".step-*.pt.*")))
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            killed.kill()
        parts += killed.state.glob(".step-*")
    assert parts
    assert "going on after" in killed.run(*EVERY_STEP)
    assert killed.digests() == uninterrupted.digests()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("processes", [1, 2])
def test_after_a_signal_a_training_saves_its_state_and_leaves(new_training, number, processes):
    long = {"epochs": 3000}
    training = new_training("stopped", "mlp", **long)
    with training.started(processes=processes) as process:
        wait_until(lambda: training.is_at(6))
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    # torchrun leaves with 1 whatever the status of its processes.
    assert process.returncode == (75 if processes == 1 else 1), said
    (step,) = training.checkpoints()
    progress = training.progress()
    assert progress["state"] == "stopped"
    assert progress["step"] == progress["checkpoint_step"] == step
    assert f"{number.name} was received: stopped after step {step:,}" in progress["message"]
    assert "Traceback" not in said or processes == 2


def test_a_signal_to_one_of_two_processes_stops_both_at_the_same_step(new_training):
    training = new_training("stopped", "mlp", epochs=3000)
    with training.started(processes=2) as process:
        wait_until(lambda: training.is_at(6))
        running = map(psutil.Process, processes_in(training.folder))
        (second,) = (one for one in running if one.environ().get("RANK") == "1")
        second.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    (step,) = training.checkpoints()
    assert training.progress()["step"] == step
    assert f"another process was asked to stop: stopped after step {step:,}" in said


def test_at_the_end_of_its_time_a_training_saves_its_state_and_leaves(new_training):
    uninterrupted = new_training("uninterrupted", "mlp", epochs=40)
    uninterrupted.run()
    training = new_training("stopped", "mlp", epochs=40)
    stops = 0
    while not (training.folder / "model.safetensors").exists():
        said = training.run("--max-minutes", "0.004" if stops < 2 else "0", status=None)
        if stops < 2:
            assert "the 0.004 minutes of this job are nearly over: stopped after step" in said
        stops += 1
    assert stops == 3
    assert training.digests() == uninterrupted.digests()
    assert training.performance()["runs"] == 3


@pytest.mark.parametrize("damaged", ["step-*.pt", "step-*.json"])
def test_the_checkpoint_before_a_damaged_one_is_used(new_training, damaged):
    uninterrupted = new_training("uninterrupted", "linear")
    uninterrupted.run()
    training = new_training("one", "linear")
    training.run(*EVERY_STEP, status=-9, KILL_AT="0:50")
    before, last = training.checkpoints()
    for file in training.state.glob(damaged.replace("*", str(last))):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    said = training.run()
    assert f"step-{last}" in said
    assert f"going on after step {before}" in said
    assert training.digests() == uninterrupted.digests()


def test_if_every_checkpoint_is_damaged_the_training_starts_anew(new_training):
    uninterrupted = new_training("uninterrupted", "linear")
    uninterrupted.run()
    training = new_training("one", "linear")
    training.run(*EVERY_STEP, status=-9, KILL_AT="0:50")
    for file in training.state.glob("step-*.pt"):
        os.truncate(file, 10)
    said = training.run()
    assert said.count("it is damaged: 10 bytes where") == 2
    assert "going on after" not in said
    assert training.digests() == uninterrupted.digests()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_gives_the_same_bytes(new_training, precision):
    one = new_training("one", "linear", precision=precision)
    one.run()
    two = new_training("two", "linear", precision=precision)
    two.run(processes=2)
    assert two.digests() == one.digests()
    whole = new_training("whole", "linear")
    whole.run()
    assert whole.digests() != one.digests()


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_training_gives_the_same_bytes_again(new_training):
    """This includes a short last micro-batch, which is filled up, and a kill."""
    settings = {"compile": True, "last_window": "step", "epochs": 2}
    # Otherwise, each run starts a process that imports PyTorch and compiles for it.
    alone = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
    found = []
    for name, kill in (("uninterrupted", None), ("killed", "0:60")):
        training = new_training(name, "linear", **settings)
        if kill:
            training.run(*EVERY_STEP, status=-9, KILL_AT=kill, **alone)
        training.run(*EVERY_STEP, **alone)
        found.append(training.digests())
    assert found[0] == found[1]
    plain = new_training("plain", "linear", **settings | {"compile": False})
    plain.run()
    weights = [
        safetensors.torch.load_file(tmp.folder / "model.safetensors") for tmp in (training, plain)
    ]
    for name, value in weights[0].items():
        assert np.allclose(value, weights[1][name], rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_other_settings_is_not_used(new_training):
    training = new_training("one", "linear")
    training.run(*EVERY_STEP, status=-9, KILL_AT="0:50")
    assert training.checkpoints()
    uninterrupted = new_training("uninterrupted", "linear", seed=12)
    uninterrupted.run()
    other = new_training("one", "linear", seed=12)
    assert "belongs to another training (another recipe)" in other.run()
    assert other.digests() == uninterrupted.digests()


def test_a_checkpoint_of_other_code_is_not_used(new_training):
    training = new_training("one", "linear")
    training.run(*EVERY_STEP, status=-9, KILL_AT="0:50")
    with open(training.folder / "own.py", "a") as file:
        file.write("\nanother_line = 1\n")
    assert "belongs to another training (another code)" in training.run()


@pytest.mark.parametrize(
    ("steps", "processes", "message"),
    [
        (6, 4, "6 slots cannot be shared by 4 processes: this number of processes does not divide"),
        (6, 3, "6 slots cannot be shared by 3 processes: gradients are added in a tree"),
    ],
)
def test_processes_that_cannot_share_the_slots_are_refused(new_training, steps, processes, message):
    training = new_training("one", "linear", accumulation_steps=steps)
    said = training.run(processes=processes, status=None)
    assert message in said
    assert "Use one of [1, 2] processes" in said


@pytest.mark.parametrize(
    ("model", "sharded"),
    [({"name": "mlp", "hidden": [32, 16]}, True), ("own:Branching", False), ("own:Unused", True)],
    ids=["mlp", "branching", "unused"],
)
def test_fast_and_sharded_training_agree_within_rounding(new_training, model, sharded):
    """A branch cannot be sharded: processes of which one skips a layer wait for each other."""
    found = []
    for sharding, processes in (("none", 1), ("none", 2), *([("fsdp", 2)] if sharded else [])):
        training = new_training(
            f"{sharding}{processes}",
            "mlp",
            model=model,
            optimizer={
                "name": "AdamW",
                "lr": 0.01,
                "weight_decay": 0.1,
                "no_decay": "bias",
                "groups": [{"match": "*.weight", "lr": 0.02}],
            },
            scheduler={"name": "CosineAnnealingLR", "warmup": "10%"},
            reduction="fast",
            sharding=sharding,
        )
        training.run(*EVERY_STEP, processes=processes, status=None, KILL_AT=f"{processes - 1}:90")
        assert training.checkpoints()
        assert "going on after" in training.run(*EVERY_STEP, processes=processes)
        weights = safetensors.torch.load_file(training.folder / "model.safetensors")
        with open(training.folder / "history.csv") as file:
            losses = [float(line["loss"]) for line in csv.DictReader(file)]
        found.append((weights, losses))
    (weights, losses), *others = found
    for other_weights, other_losses in others:
        assert other_losses == pytest.approx(losses, rel=1e-4)
        for name, value in weights.items():
            assert np.allclose(value, other_weights[name], rtol=1e-3, atol=1e-5), name


def test_the_log_says_how_many_slots_are_computed_together(new_training):
    said = new_training("one", "linear").run()
    assert re.search(r"slots in one call: \d of 8", said)
