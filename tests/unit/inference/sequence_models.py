"""Trains small models on rows that vary in length and on windows, and evaluates them."""

import sys
from pathlib import Path

import numpy as np

from memtrain.config.reading import parse_configuration
from memtrain.data.files_description import describe_files
from memtrain.data.indexing import index_shards
from memtrain.evaluation.evaluator import Evaluator
from memtrain.planning.split_resolution import resolve_splits
from memtrain.training.trainer import Trainer
from tests.trainings import code_of_training

WORDS, ROWS, TRAINED = 12, 60, 40

#: Rows that vary in length; the first one that is evaluated is short, and one of them is empty.
GENERATOR = np.random.default_rng(0)
LENGTHS = GENERATOR.integers(0, 30, ROWS)
LENGTHS[[TRAINED, 50]] = [3, 0]
DOCUMENTS = [GENERATOR.integers(1, WORDS, length).astype("u2") for length in LENGTHS]
STARS = np.array([int(document.sum()) % 3 for document in DOCUMENTS])
POINTS = [GENERATOR.normal(5, 2, (length, 3)) for length in LENGTHS]
SUMS = np.array([points.sum() for points in POINTS])

#: The module of the models, as a user has it in the folder of the project.
MODULE = """
import torch
from torch import nn


class NextWord(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.words = nn.Embedding(out_features, 6)
        self.outputs = nn.Linear(6, out_features)

    def forward(self, features):
        return self.outputs(self.words(features.long()).cumsum(1))


class Reader(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.words = nn.Embedding(12, 6)
        self.outputs = nn.Linear(6, out_features)

    def forward(self, features, lengths, mask):
        words = self.words(features.long()) * mask[:, :, None]
        return self.outputs(words.sum(1) / lengths.clamp(min=1)[:, None])


class Placed(NextWord):
    def __init__(self, out_features):
        super().__init__(out_features)
        self.places = nn.Parameter(torch.randn(40, 6))

    def forward(self, features):
        words = self.words(features.long()) + self.places[: features.shape[1]]
        return self.outputs(words.cumsum(1))


class Recurrent(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.words = nn.Embedding(out_features, 6)
        self.layer = nn.GRU(6, 6, batch_first=True)
        self.outputs = nn.Linear(6, out_features)

    def forward(self, features):
        return self.outputs(self.layer(self.words(features.long()))[0])


class Looping(Reader):
    def forward(self, features, lengths, mask):
        rows = [super(Looping, self).forward(features[at : at + 1, :length],
                lengths[at : at + 1], mask[at : at + 1, :length])
                for at, length in enumerate(lengths.tolist())]
        return torch.cat(rows)


class Average(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.outputs = nn.Linear(3, out_features)

    def forward(self, features, lengths):
        return self.outputs(features.float().sum(1) / lengths.clamp(min=1)[:, None])


class Running(nn.Module):
    def __init__(self):
        super().__init__()
        self.outputs = nn.Linear(3, 1)

    def forward(self, features):
        return self.outputs(features.float().cumsum(1))


def surprise(model, batch):
    scores = model(batch["features"]).log_softmax(-1)
    chosen = scores.gather(-1, batch["target"].long()[..., None])[..., 0]
    return -(chosen * batch.get("target_mask", 1)).sum(1)


def by_row(row):
    return row | {"features": row["features"] / 2}
"""

SETTINGS = {"batch_size": 4, "epochs": 2, "device": "cpu", "transform": "none"}


def write_module(folder, monkeypatch):
    """Write the models where Python finds them; a test module is imported anew for each folder."""
    (folder / "sequence_parts.py").write_text(MODULE)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("sequence_parts", None)


def write_rows():
    """Write the rows that vary in length, and their targets, to the current folder."""
    np.save("lengths.npy", LENGTHS)
    np.save("words.npy", np.concatenate(DOCUMENTS))
    np.save("stars.npy", STARS)
    np.save("points.npy", np.concatenate(POINTS))
    np.save("sums.npy", SUMS)
    np.save("running.npy", np.concatenate([points.cumsum(0)[:, 0] for points in POINTS]))


class SequenceModel:
    """A model of rows in files, and what its evaluation wrote; it works in the current folder.

    Args:
        files: settings of the rows in files.
        training: settings of the training.
        evaluate: the first evaluation row, and the one behind the last.
    """

    def __init__(self, files, training, evaluate=(TRAINED, ROWS)):
        configuration = parse_configuration(
            {
                "dataset": {"name": "d", "files": files},
                "splits": {"a": {"train": [0, TRAINED], "evaluate": list(evaluate)}},
                "training": SETTINGS | training,
            }
        )
        assert configuration.dataset.files is not None
        layout, source = describe_files(configuration.dataset.files)
        layout.write("rows.json")
        shards = index_shards("rows.json", 16)
        (recipe,) = resolve_splits(configuration, "rows.json", shards, source)
        self.folder = Path("split").absolute()
        self.folder.mkdir(exist_ok=True)
        recipe.write(self.folder / "split.json")
        model = self.folder / "model.safetensors"
        Trainer(recipe, "rows.json").run().write(
            model, "history.csv", "performance.json", code=code_of_training(recipe)
        )
        Evaluator(recipe, "rows.json", model).run("predictions.npy", steps=1)
        self.evaluated = np.load("predictions.npy")
        self.data = Path("rows.json").absolute()
