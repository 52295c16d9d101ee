"""A small project whose rows come from a CSV file and whose model is its own."""

import numpy as np

CONFIGURATION = {
    "dataset": {
        "name": "small",
        "import": {"path": "data/*.csv", "features": ["a", "b", "c"], "target": ["y"]},
    },
    "shards": {"rows": 100},
    "splits": {
        "first": {"train": [0, 300], "evaluate": [500, 600]},
        "second": {"train": [300, 500], "evaluate": [500, 600]},
    },
    "training": {"model": {"name": "networks:Net"}, "batch_size": 16, "epochs": 1},
    "evaluation": {"bootstrap": 5},
}

NETWORKS = '''\
"""Models of the project."""

import torch
from torch import nn


class Net(nn.Module):
    """A small network."""

    def __init__(self, in_features, out_features, width=8):
        super().__init__()
        self.a = nn.Linear(in_features, width)
        self.b = nn.Linear(width, out_features)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))
'''


def write_imported(project):
    """Write rows and model of the project into its folder."""
    (project / "networks.py").write_text(NETWORKS)
    (project / "data").mkdir()
    write_rows(project / "data/x.csv", rows())


def rows():
    """Return the rows, floats (600, 4): three features and a target."""
    generator = np.random.default_rng(0)
    features = generator.random((600, 3))
    target = features @ [1, 2, 3] + 0.1 * generator.standard_normal(600)
    return np.column_stack([features, target])


def write_rows(path, values):
    """Write rows as a CSV file with a line of names."""
    lines = ["a,b,c,y", *(",".join(f"{value:.5f}" for value in row) for row in values)]
    path.write_text("\n".join(lines) + "\n")
