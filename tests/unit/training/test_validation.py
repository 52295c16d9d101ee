"""Validations: right numbers, for any number of processes, and no trace in the training."""

import csv
import math
import shutil
import signal
import sys

import numpy as np
import pytest
import torch
from torch.testing._internal.distributed.fake_pg import FakeStore

from memtrain.components.build import build_model_parts
from memtrain.components.rows import open_rows
from memtrain.core.errors import UserError
from memtrain.evaluation.evaluator import Evaluator
from memtrain.metrics.metric_sums import MetricSums
from memtrain.metrics.scorer import Scorer
from memtrain.training.trainer import Trainer
from memtrain.training.validation_history import read_validations
from tests.trainings import Training, wait_until

GENERATOR = np.random.default_rng(8)
FEATURES = GENERATOR.random((2600, 6), dtype=np.float32)
TARGET = (FEATURES @ GENERATOR.standard_normal(6) + 1).astype(np.float32)
CLASSES = FEATURES[:, :3].argmax(1).astype(np.int64)
TRAIN, VALIDATE, EVALUATE = [0, 400], [400, 2500], [2500, 2600]
SETTINGS = {"batch_size": 10, "accumulation_steps": 4, "seed": 3, "device": "cpu", "epochs": 2}

OWN = """
import os
import signal
import time

import torch
from torch import nn


class Restless(nn.Module):
    # Draws random numbers, counts its calls and normalizes by batches, also while it is validated.
    def __init__(self, out_features):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.layer = nn.Linear(6, out_features)
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, features):
        self.calls += 1
        self.seen = self.seen + len(features)
        torch.rand(3)
        return self.dropout(self.layer(self.norm(features)))


evaluated = 0


class Fragile(nn.Linear):
    # Kills its process in a certain call of a validation, or asks it to stop and dawdles.
    def __init__(self, out_features):
        super().__init__(6, out_features)

    def forward(self, features):
        global evaluated
        if not self.training and len(features) > 1:
            evaluated += 1
            rank, call = os.environ.get("KILL_AT", "0:-1").split(":")
            if evaluated == int(call) and rank == os.environ.get("RANK", "0"):
                os.kill(os.getpid(), int(os.environ.get("SIGNAL", 9)))
                time.sleep(0.3)
        return super().forward(features)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)


@pytest.fixture
def run(resolve, tmp_path):
    """Return a function that trains, and returns recipe, result and the table."""

    def run(learned=TARGET, validate=VALIDATE, evaluate=EVALUATE, classes=None, **settings):
        data, recipe = resolve(
            FEATURES,
            learned,
            SETTINGS | settings,
            train=TRAIN,
            validate=validate,
            evaluate=evaluate,
            classes=classes,
        )
        result = Trainer(recipe, data).run()
        files = [tmp_path / name for name in ("model", "history", "performance")]
        result.write(*files, code="sha256:code")
        return recipe, result, tmp_path / "validation.csv"

    return run


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("every", [{"epochs": 1}, {"steps": 3}])
def test_a_training_is_the_same_with_and_without_validation(own, run, every):
    settings = {"model": "own:Restless", "optimizer": "Adam", "validate_every": every}
    _, validated, _ = run(**settings)
    _, plain, _ = run(validate=None, **settings)
    assert same(dict(validated.weights), dict(plain.weights))
    assert validated.history == plain.history
    assert validated.order_digest == plain.order_digest
    steps = [one.step for one in validated.validations]
    assert steps == ([10, 20] if "epochs" in every else [3, 6, 9, 12, 15, 18, 20])
    assert not plain.validations


def test_the_numbers_are_those_of_numpy(run):
    recipe, result, file = run(model="linear")
    weights = {name: value.double().numpy() for name, value in result.weights.items()}
    rows = FEATURES[400:2500].astype(np.float64)
    predicted = rows @ weights["output.weight"][0] + weights["output.bias"]
    true = TARGET[400:2500].astype(np.float64)
    errors = predicted - true
    last = result.validations[-1]
    assert last.rows == 2100
    assert last.loss == pytest.approx((errors**2).mean(), rel=1e-5)
    assert last.metrics["mse"] == pytest.approx((errors**2).mean(), rel=1e-5)
    assert last.metrics["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-5)
    assert last.metrics["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    r2 = 1 - (errors**2).sum() / ((true - true.mean()) ** 2).sum()
    assert last.metrics["r2"] == pytest.approx(r2, rel=1e-4)
    assert read_validations(file) == result.validations
    assert recipe.training.validation.ranges == [(400, 2500)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "target", "classes"),
    [
        ({"transform": "standardize", "target": "standardize"}, TARGET * 1000, None),
        ({"loss": "CrossEntropyLoss"}, CLASSES, 3),
        ({"loss": "BCEWithLogitsLoss"}, (CLASSES > 0).astype(np.float32), None),
    ],
    ids=["regression", "classification", "binary"],
)
def test_the_last_validation_is_the_evaluation_of_the_same_rows(
    run, tmp_path, settings, target, classes
):
    recipe, result, _ = run(target, evaluate=VALIDATE, classes=classes, **settings)
    evaluation = Evaluator(recipe, tmp_path / "data.npy", tmp_path / "model").run(
        tmp_path / "predictions.npy", 1
    )
    last = result.validations[-1]
    assert last.rows == evaluation.rows
    assert last.loss == pytest.approx(evaluation.loss, rel=1e-6)
    assert last.metrics.keys() == evaluation.metrics.keys() - {"auroc", "average_precision"}
    for name, value in last.metrics.items():
        assert value == pytest.approx(evaluation.metrics[name], rel=1e-6), name


@pytest.mark.slow
def test_the_loss_of_elements_is_divided_by_them(run, tmp_path):
    """Here, a target is one of two numbers of a row."""
    target = np.stack([TARGET, 2 * TARGET], 1)
    recipe, result, _ = run(target, evaluate=VALIDATE, model="linear", normalize="elements")
    evaluation = Evaluator(recipe, tmp_path / "data.npy", tmp_path / "model").run(
        tmp_path / "predictions.npy", 1
    )
    last = result.validations[-1]
    # The mean of squares over all numbers is what mse is for several targets.
    assert last.loss == pytest.approx(last.metrics["mse"], rel=1e-6)
    assert evaluation.loss == pytest.approx(evaluation.metrics["mse"], rel=1e-6)


def test_a_training_without_validation_rows_writes_a_table_without_lines(run):
    _, _, file = run(validate=None)
    assert file.read_text() == "epoch,step,rows,loss\n"
    assert read_validations(file) == []


def test_predictions_that_are_no_numbers_leave_the_metrics_empty(run, tmp_path, monkeypatch):
    (tmp_path / "holes.py").write_text(
        "import torch\nfrom torch import nn\n\n\n"
        "class Holes(nn.Linear):\n"
        "    def __init__(self, out_features):\n"
        "        super().__init__(6, out_features)\n\n"
        "    def forward(self, features):\n"
        "        outputs = super().forward(features)\n"
        "        return outputs if self.training else outputs * float('inf')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    _, result, file = run(model="holes:Holes")
    assert all(math.isnan(value) for value in result.validations[-1].metrics.values())
    with open(file) as lines:
        assert {line["mse"] for line in csv.DictReader(lines)} == {"nan"}
    assert math.isnan(read_validations(file)[-1].metrics["mse"])


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "epoch,step,rows,loss\n1,2,x,3\n"])
def test_a_damaged_table_is_an_error(tmp_path, content):
    (tmp_path / "validation.csv").write_text(content)
    with pytest.raises(UserError, match="does not hold the validations"):
        read_validations(tmp_path / "validation.csv")


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_validations(tmp_path / "validation.csv")


@pytest.fixture
def new_training(resolve, own, tmp_path):
    """Return a function that sets up a training with validations, in a folder of its own."""

    def make(name, classes=None, target=TARGET, **changes):
        settings = SETTINGS | {"validate_every": {"steps": 4}} | changes
        data, recipe = resolve(
            FEATURES,
            target,
            settings,
            train=TRAIN,
            validate=VALIDATE,
            evaluate=EVALUATE,
            classes=classes,
        )
        training = Training(tmp_path / name, data, recipe)
        shutil.copy(tmp_path / "own.py", training.folder)
        return training

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        {"model": {"name": "mlp", "hidden": [16], "dropout": 0.2}},
        {"loss": "CrossEntropyLoss", "classes": 3, "target": CLASSES},
        {"accumulation_steps": 6, "target": TARGET * 1e6},
        {"target": np.stack([TARGET, FEATURES[:, 0], FEATURES[:, 1] * 3], 1)},
    ],
    ids=["regression", "classification", "two lanes", "several targets"],
)
def test_any_number_of_processes_gives_the_same_bytes(new_training, case):
    one = new_training("one", **case)
    one.run()
    assert len(read_validations(one.folder / "validation.csv")) >= 4
    for processes in (2,) if case.get("accumulation_steps") == 6 else (2, 4):
        several = new_training(f"{processes}", **case)
        several.run(processes=processes)
        assert several.digests() == one.digests()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3])
def test_a_training_killed_in_its_validations_gives_the_same_bytes(new_training, steps):
    every = ("--running", f"{{checkpoint: {{steps: {steps}}}}}")
    uninterrupted = new_training("uninterrupted", model="own:Fragile")
    uninterrupted.run()
    killed = new_training("killed", model="own:Fragile")
    for call in (7, 1, 8):
        killed.run(*every, status=-9, KILL_AT=f"0:{call}")
    killed.run(*every, processes=2, status=None, KILL_AT="1:4")
    killed.run(*every)
    assert killed.digests() == uninterrupted.digests()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_stop_ends_a_validation_at_once_which_is_made_up_for(new_training, processes):
    uninterrupted = new_training("uninterrupted", model="own:Fragile")
    uninterrupted.run()
    stopped = new_training("stopped", model="own:Fragile")
    asked = {"KILL_AT": f"{processes - 1}:2", "SIGNAL": str(signal.SIGTERM.value)}
    said = stopped.run(processes=processes, status=None, **asked)
    (step,) = stopped.checkpoints()
    assert f"stopped after step {step} of" in said
    assert step == 4
    stopped.run()
    assert stopped.digests() == uninterrupted.digests()


@pytest.mark.slow
def test_status_and_log_tell_the_last_validation(new_training):
    training = new_training("one", epochs=3000, validate_every={"steps": 1})
    with training.started() as process:
        wait_until(lambda: training.is_at(3))
        wait_until(lambda: training.progress()["validation_loss"] is not None)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert "validation: 2,100 rows in [400, 2500), every 1 step and after the last one" in said


@pytest.mark.slow
def test_a_sharded_model_is_validated_too(new_training):
    one = new_training("one", reduction="fast")
    one.run()
    two = new_training("two", reduction="fast", sharding="fsdp", model="mlp")
    two.run(processes=2)
    found = [read_validations(each.folder / "validation.csv") for each in (one, two)]
    assert [line.step for line in found[0]] == [line.step for line in found[1]]
    for left, right in zip(*found, strict=True):
        assert right.loss == pytest.approx(left.loss, rel=1e-4)


@pytest.mark.slow
def test_rows_are_copied_to_the_node_with_those_of_the_validation(new_training, tmp_path):
    plain = new_training("plain")
    plain.run()
    copied = new_training("copied")
    (tmp_path / "node").mkdir()
    said = copied.run("--loading", "{stage: always}", TMPDIR=str(tmp_path / "node"))
    assert "rows are read from a copy" in said
    assert copied.digests() == plain.digests()


def test_the_metrics_of_added_sums_ask_no_other_process(run, tmp_path):
    """Among others, torchmetrics would gather sums again that are those of all processes."""
    recipe, _, _ = run()
    validated = recipe.training.validation
    parts = build_model_parts(recipe.training, torch.device("cpu"))
    dataset = open_rows(
        str(tmp_path / "data.npy"), recipe.training, validated, parts.transform, float64=True
    )
    scorer = Scorer(recipe.training, parts, dataset, validated, torch.device("cpu"))
    sums = MetricSums(recipe.training, scorer.meaning, scorer.example)
    sums.add(scorer.example)
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=1, world_size=3)
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            sums.values(sums.vector())
    finally:
        torch.distributed.destroy_process_group()
    called = {event.key for event in profile.key_averages()}
    assert "aten::cat" in called
    assert not [name for name in called if "c10d" in name]
