"""Trains small models on imported tables, and leaves the folder of the split alone."""

import shutil

import numpy as np

from memtrain.config.dataset import ImportSettings
from memtrain.config.reading import parse_configuration
from memtrain.data import record_file
from memtrain.data.indexing import index_shards
from memtrain.data.tables.importer import TableImport
from memtrain.evaluation.evaluator import Evaluator
from memtrain.planning.split_resolution import resolve_splits
from memtrain.training.trainer import Trainer
from tests.trainings import code_of_training

TRAINED, ROWS = 60, 100
GENERATOR = np.random.default_rng(0)
COLOURS = np.array(["red", "green", "blue"])[GENERATOR.integers(3, size=ROWS)]
COLOURS[[70, 90]] = ["purple", ""]
COLOURS[[3, 80]] = ""
SIZES = GENERATOR.normal(5, 1, ROWS).round(3).astype(str)
SIZES[[4, 75]] = ""
COUNTS = GENERATOR.integers(2**40, 2**41, ROWS).astype(str)
COUNTS[[5, 77]] = ""
DAYS = (np.datetime64("2024-01-01") + GENERATOR.integers(700, size=ROWS)).astype(str)
PRICES = (GENERATOR.random(ROWS) * 1e5).round(2).astype(str)
KINDS = np.array(["house", "flat", "boat"])[GENERATOR.integers(3, size=ROWS)]
HEADER = ["colour", "size", "count", "day", "price", "kind"]
TABLE = np.stack([COLOURS, SIZES, COUNTS, DAYS, PRICES, KINDS], axis=1)

COLUMNS = {
    "features": ["colour", "size", "count", "day"],
    "categories": ["colour"],
    "dtypes": {"day": "date", "count": "int64"},
    "missing": "keep",
}
TRAINING = {
    "model": {"name": "mlp", "hidden": [8]},
    "transform": "standardize",
    "impute": {"size": {"with": "median", "indicator": True}, "count": "mean"},
    "encode": {"day": ["elapsed", "month"]},
    "epochs": 2,
    "batch_size": 8,
    "device": "cpu",
}


def write_table(path, table=TABLE, delimiter=","):
    """Write cells as a CSV file, and return its path."""
    lines = [delimiter.join(HEADER), *(delimiter.join(row) for row in table)]
    path.write_text("\n".join(lines) + "\n")
    return path


class ImportedModel:
    """A model that was trained on a table, and what its evaluation wrote.

    Args:
        folder: folder for all files.
        columns: keys of the import, beside its path.
        training: settings of the training.
        evaluate: whether the split has rows to evaluate on.
        table: the cells of the table.
    """

    def __init__(self, folder, columns, training, evaluate=True, table=TABLE):
        self.table, data = folder / "table.csv", folder / "data.npy"
        write_table(self.table, table)
        keys = {"path": str(self.table), **columns}
        rows = TableImport(ImportSettings.model_validate(keys))
        rows.survey()
        with record_file.create(data, rows.dtype, rows.rows) as writer:
            rows.write(writer)
        split = {"train": [0, TRAINED]} | ({"evaluate": [TRAINED, ROWS]} if evaluate else {})
        configuration = parse_configuration(
            {
                "dataset": {"name": "d", "import": keys},
                "splits": {"one": split},
                "training": training,
            }
        )
        (recipe,) = resolve_splits(configuration, data, index_shards(data, 16), rows.source())
        made = folder / "made"
        made.mkdir()
        recipe.write(made / "split.json")
        Trainer(recipe, str(data)).run().write(
            made / "model.safetensors",
            made / "history.csv",
            made / "performance.json",
            code=code_of_training(recipe),
        )
        if evaluate:
            Evaluator(recipe, str(data), made / "model.safetensors").run(folder / "p.npy", steps=1)
            self.evaluated = np.load(folder / "p.npy")
        self.folder = folder / "copied"
        self.folder.mkdir()
        for name in ("split.json", "model.safetensors"):
            shutil.move(made / name, self.folder / name)
        self.table.unlink()
        self.data = data.rename(folder / "elsewhere.npy")
