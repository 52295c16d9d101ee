"""Trainings that are slow enough to be followed, and servers to send them to."""

import json
import sys
from functools import partial

import numpy as np
import pytest

from tests.programs import starting_quickly
from tests.trainings import Training
from tests.unit.tracking.servers import Line, mlflow_server

GENERATOR = np.random.default_rng(5)
FEATURES = GENERATOR.random((600, 6), dtype=np.float32)
TARGET = (FEATURES @ GENERATOR.standard_normal(6) + 1).astype(np.float32)

#: A model whose steps take a while, and that kills its process where it is told to.
OWN = """
import os
import time

import torch


class Slow(torch.nn.Linear):
    def __init__(self, out_features):
        super().__init__(6, out_features)
        self.calls = 0

    def forward(self, features):
        if self.training:
            self.calls += 1
            time.sleep(float(os.environ.get("SECONDS", "0")))
            if self.calls == int(os.environ.get("KILL_AT", "0")):
                os.kill(os.getpid(), 9)
        return super().forward(features)
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The port of a real server of MLflow."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as port:
        yield port


@pytest.fixture
def line(server):
    """A line to the server, which is connected."""
    line = Line(server)
    line.connect()
    yield line
    line.cut()


@pytest.fixture
def project(resolve, tmp_path, monkeypatch):
    """Return a function that makes a training of 20 steps in a project, with a validation each 5.

    The results lie as those of the workflow do, with a configuration that has trackers.
    """
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    return partial(_make_project, resolve, tmp_path)


class Tracked(Training):
    """A training whose followers start quickly, too."""

    def environment(self, variables):
        return super().environment(starting_quickly() | variables)


def _make_project(resolve, folder, name="tracked"):
    settings = {"model": "own:Slow", "batch_size": 10, "accumulation_steps": 4, "epochs": 2}
    settings |= {"validate_every": {"steps": 5}, "device": "cpu"}
    data, recipe = resolve(
        FEATURES, TARGET, settings, train=[0, 400], validate=[400, 500], evaluate=[500, 600]
    )
    training = Tracked(folder / name / "results/test/splits/one", data, recipe)
    (training.folder / "own.py").write_text(OWN)
    return training


def tracking(**trackers):
    """Return the arguments of train.py for trackers."""
    settings = json.dumps(trackers)
    return ["--tracking", settings, "--tracking-folder", "../../tracking"]
