"""Small trainings with everything switched on that a training can remember."""

import sys
from pathlib import Path

import yaml

from memtrain.config.dataset import MockSettings
from memtrain.config.reading import parse_configuration
from memtrain.data.indexing import index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.planning.split_resolution import resolve_splits

DATA_FILE = "data.npy"

#: Modules of the user's own, by the names of their files.
MODULES = {
    "own.py": Path(__file__).with_name("lookahead.py").read_text()
    + '''\
from torch import nn


class Normalizing(nn.Sequential):
    """BatchNorm behind dropout: statistics that an average has to compute again."""

    def __init__(self, in_features, out_features):
        hidden = nn.Linear(in_features, 8), nn.Dropout(0.1), nn.BatchNorm1d(8), nn.ReLU()
        super().__init__(*hidden, nn.Linear(8, out_features))


class Branching(nn.Module):
    """The second layer takes part in some micro-batches alone."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(in_features, 16), nn.ReLU(), nn.Dropout(0.2))
        self.always = nn.Linear(16, out_features)
        self.sometimes = nn.Linear(16, out_features)

    def forward(self, features):
        inside = self.first(features)
        outputs = self.always(inside)
        return outputs + self.sometimes(inside) if features[0, 0] > 0.5 else outputs
''',
    "watching.py": """\
import json
import random

import numpy as np
import torch


def write(view):
    facts = {
        "loss": view.loss,
        "rates": view.learning_rates,
        "validation": view.validation and view.validation.loss,
        "drawn": [float(torch.rand(1)), np.random.rand(), random.random()],
        "norms": {name: float(part.float().norm()) for name, part in view.weights().items()},
        "output": float(view.model()(torch.ones(2, 4)).sum()),
    }
    (view.folder / f"{view.step:05}.json").write_text(json.dumps(facts))
""",
}

_SHARED = {
    "batch_size": 5,
    "accumulation_steps": 4,
    "epochs": 24,
    "validate_every": {"steps": 7},
    "hooks": [{"name": "watching:write", "every": 11}],
    "seed": 5,
    "device": "cpu",
    "clip_norm": 1.0,
}

#: Steps of a training that does not end early: 11 an epoch, the last of them with fewer rows.
STEPS = 24 * 11

#: The trainings, by name; the first one ends early, the others take all steps.
TRAININGS = {
    "ema": _SHARED
    | {
        "model": {"name": "mlp", "hidden": [16, 8], "dropout": 0.2},
        "optimizer": {
            "name": "own:Lookahead",
            "lr": 0.03,
            "weight_decay": 0.05,
            "no_decay": ["bias"],
            "groups": [{"match": "layers.0.*", "lr": 0.01}],
        },
        "scheduler": {"name": "ReduceLROnPlateau", "patience": 1, "warmup": "5%"},
        "averaging": {"ema": 0.9},
        "keep": "best",
        "early_stopping": {"patience": 12, "metric": "r2"},
    },
    "swa": _SHARED
    | {
        "model": "own:Branching",
        "optimizer": {
            "name": "AdamW",
            "lr": 0.01,
            "no_decay": ["bias", "norm"],
            "groups": [{"match": "always.*", "lr": 0.02}],
        },
        "scheduler": {"name": "CosineAnnealingLR", "warmup": "10%"},
        "averaging": {"swa": {"start": "25%"}},
        "keep": "averaged",
        "early_stopping": {"patience": 1000},
    },
    "normalizing": _SHARED
    | {
        "model": "own:Normalizing",
        "optimizer": {"name": "Adam", "lr": 0.01, "no_decay": ["norm"], "weight_decay": 0.01},
        "scheduler": {"name": "ReduceLROnPlateau", "patience": 3},
        "averaging": {"swa": {"start": "20%"}},
        "keep": "averaged",
        "validate_every": {"steps": 17},
    },
    "best": _SHARED
    | {
        "model": {"name": "mlp", "hidden": [16], "dropout": 0.2},
        "optimizer": {"name": "SGD", "lr": 0.02, "momentum": 0.9},
        "scheduler": {
            "name": "SequentialLR",
            "schedulers": ["CosineAnnealingLR", {"name": "ExponentialLR", "gamma": 0.99}],
            "milestones": ["50%"],
        },
        "averaging": {"swa": {"start": "50%"}},
        "keep": "best",
        "last_window": "drop",
    },
}


def write_trainings(folder: Path) -> int:
    """Write the rows, the modules and the recipe ``<training>.json`` of each training.

    Args:
        folder: a folder that is there, and the working directory.

    Returns:
        The exit status of a program: 0.
    """
    for name, text in MODULES.items():
        (folder / name).write_text(text)
    sys.path.append(str(folder))
    mock = {"rows": 420, "features": 4, "target": "mlp", "noise": 0.3}
    data = folder / DATA_FILE
    source = write_mock_data(data, MockSettings.model_validate(mock))
    ranges = {"train": [0, 203], "validate": [203, 400], "evaluate": [400, 420]}
    content = {
        "dataset": {"name": "sample", "mock": mock},
        "splits": {name: ranges | {"training": one} for name, one in TRAININGS.items()},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    configuration, manifest = parse_configuration(content), index_shards(data, 64)
    for recipe in resolve_splits(configuration, data, manifest, source):
        recipe.write(folder / f"{recipe.split}.json")
    return 0
