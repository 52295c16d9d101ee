"""The small project that all campaigns damage, stop and hinder."""

from pathlib import Path

import numpy as np
import yaml

from memtrain.config.results import ResultsLayout

REPOSITORY = Path(__file__).resolve().parents[1]

CONFIGURATION = yaml.safe_load(
    """
dataset:
  name: sample
  import:
    path: data/*.csv
    features: [a, b, kind]
    target: [y]
    categories: [kind]
    shuffle_once: 3
shards: {rows: 16}
splits:
  a: {train: [0, 64], evaluate: [64, 96]}
  b: {train: [[0, 24], [32, 56]], evaluate: [64, 96]}
training:
  model: {name: "networks:Net", width: 4}
  transform: standardize
  batch_size: 4
  accumulation_steps: 2
  epochs: 2
running: {checkpoint: {steps: 3}}
evaluation: {bootstrap: 5}
"""
)

_NETWORKS = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, in_features, out_features, width):
        super().__init__()
        self.first = nn.Linear(in_features, width)
        self.second = nn.Linear(width, out_features)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))
"""

RESULTS = ResultsLayout.of_dataset(CONFIGURATION["dataset"]["name"])

#: Result files, below the folder of the results, whose bytes are the same in every run.
REPRODUCIBLE = (
    "data.npy",
    "source.json",
    "manifest.json",
    "manifest/*.json",
    "splits/*/split.json",
    "splits/*/model.safetensors",
    "splits/*/history.csv",
    "splits/*/evaluation.json",
    "splits/*/predictions.npy",
)


def write_project(folder: Path) -> None:
    """Write the configuration, the rows and the module of the project into a new folder."""
    (folder / "data").mkdir(parents=True)
    random = np.random.default_rng(0)
    lines = ["a,b,kind,y"]
    for a, b, kind in zip(*random.random((2, 96)), random.integers(0, 3, 96), strict=True):
        lines.append(f"{a:.5f},{b:.5f},{'xyz'[kind]},{a + 2 * b + kind:.5f}")
    (folder / "data" / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "networks.py").write_text(_NETWORKS)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIGURATION, sort_keys=False))
