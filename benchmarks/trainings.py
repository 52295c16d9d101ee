"""Trainings on mock rows, run by train.py in one process or in several."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import Work
from memtrain.config.dataset import MockSettings
from memtrain.config.reading import parse_configuration
from memtrain.data.indexing import index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.planning.split_resolution import resolve_splits
from memtrain.recipes.recipe import Recipe
from memtrain.training.performance import Performance

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "train.py"


@dataclass(frozen=True)
class Sizes:
    """Sizes of a training.

    Attributes:
        features: number of features of a row.
        hidden: widths of the hidden layers.
        rows: number of training rows.
        batch_size: rows of a micro-batch.
        accumulation_steps: micro-batches of an optimizer step.
        epochs: number of epochs.
    """

    features: int
    hidden: tuple[int, ...]
    rows: int
    batch_size: int
    accumulation_steps: int
    epochs: int


@dataclass(frozen=True)
class MockTraining:
    """A training on mock rows that are written and indexed.

    Attributes:
        recipe: recipe of the training.
        data: path of the rows.
    """

    recipe: Recipe
    data: str


def make_training(
    folder: Path, sizes: Sizes, *, other_rows: int = 0, validates: bool = False, **settings: Any
) -> MockTraining:
    """Write mock rows into a folder, and resolve a training on all of them.

    Args:
        folder: folder for the rows.
        sizes: sizes of the training.
        other_rows: rows behind those of the training, on which the model is evaluated.
        validates: whether it is validated on them as well.
        settings: further settings of the training, by the keys of ``training`` in config.yaml.
    """
    rows = {"rows": sizes.rows + other_rows, "features": sizes.features}
    data = str(folder / f"{sizes.features}.npy")
    source = write_mock_data(data, MockSettings.model_validate(rows))
    others = [sizes.rows, sizes.rows + other_rows] if other_rows else [0, 1]
    training = {
        "model": {"name": "mlp", "hidden": list(sizes.hidden)},
        "transform": {"name": "scale", "factor": 2, "offset": -1},
        "batch_size": sizes.batch_size,
        "accumulation_steps": sizes.accumulation_steps,
        "epochs": sizes.epochs,
    }
    configuration = parse_configuration(
        {
            "dataset": {"name": "benchmark", "mock": rows},
            "splits": {
                "all": {
                    "train": [0, sizes.rows],
                    "validate": others if validates else None,
                    "evaluate": others,
                    "allow_overlap": True,
                }
            },
            "training": training | settings,
            "evaluation": {"bootstrap": 0},
        }
    )
    (recipe,) = resolve_splits(configuration, data, index_shards(data, 1 << 14), source)
    return MockTraining(recipe, data)


def train(
    folder: Path, training: MockTraining, *, processes: int = 1, running: str = "{}"
) -> Performance:
    """Run a training by train.py, and return its performance.

    Args:
        folder: folder for the results.
        training: training to run.
        processes: number of processes, which torchrun starts if there are several.
        running: value of ``--running``.
    """
    recipe = folder / "split.json"
    training.recipe.write(recipe)
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc-per-node={processes}"]
    arguments = ["--data", training.data, "--split", str(recipe), "--running", running]
    for name in ("model", "history", "performance", "state"):
        arguments += [f"--{name}", str(folder / name)]
    subprocess.run([*launcher, str(SCRIPT), *arguments], check=True, capture_output=True)
    return Performance.read(folder / "performance")


def training_work(performance: Performance) -> Work:
    """Return the rows of a training, and its seconds without the start of the program."""
    rows = performance.rows_per_second * performance.seconds
    return Work(rows, performance.seconds)
