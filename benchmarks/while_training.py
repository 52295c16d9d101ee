"""What validations, averages, schedules, groups and hooks add to a training, each by itself.

Processor time is measured, since a training computes in one thread, and other programs on the
machine would change the time on the clock by more than what is looked for.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import Comparison, Work, compare, spread
from benchmarks.trainings import MockTraining, Sizes, make_training
from memtrain.components.build import build_training_parts
from memtrain.evaluation.evaluator import Evaluator
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer
from memtrain.training.training_view import TrainingView
from memtrain.training.validator import Validator

NETWORKS = {
    "20-64-1, batch 16 x 8": Sizes(
        features=20, hidden=(64,), rows=30_000, batch_size=16, accumulation_steps=8, epochs=1
    ),
}

#: Rows to validate and to evaluate on.
OTHER_ROWS = 20_000

_RUNS = 7

_PLAIN = "none of these"
_VALIDATED = "validations"

_HOOK = {"name": f"{__name__}:look", "every": 100}

#: Settings of a training without validations, by what they switch on.
ALONE: dict[str, dict[str, Any]] = {
    _PLAIN: {},
    "averaging, ema": {"averaging": {"ema": 0.99}, "keep": "averaged"},
    "averaging, swa of the last 75 %": {"averaging": {"swa": {"start": "25%"}}, "keep": "averaged"},
    "warmup and cosine": {"scheduler": {"name": "CosineAnnealingLR", "warmup": "5%"}},
    "three groups of parameters": {
        "optimizer": {
            "name": "Adam",
            "lr": 0.001,
            "no_decay": ["bias"],
            "groups": [{"match": "layers.0.*", "lr": 0.002}],
        }
    },
    "a hook each 100 steps": {"hooks": [_HOOK]},
    "a hook each 10 steps": {"hooks": [_HOOK | {"every": 10}]},
}

#: Settings of a training with validations, which decide nothing in the first one.
VALIDATED: dict[str, dict[str, Any]] = {
    _VALIDATED: {},
    "early stopping": {"early_stopping": {"patience": 10**6}},
    "keep: best": {"keep": "best"},
    "plateau": {"scheduler": {"name": "ReduceLROnPlateau", "patience": 10**6}},
    "everything": {
        "early_stopping": {"patience": 10**6},
        "keep": "best",
        "averaging": {"ema": 0.99},
        "scheduler": {"name": "ReduceLROnPlateau", "patience": 10**6, "warmup": "5%"},
        "hooks": [_HOOK],
    },
}


def look(view: TrainingView) -> None:
    """Look at the weights, as a hook does."""
    _ = {name: float(part.norm()) for name, part in view.weights().items()}


def main() -> str:
    """Return the tables."""
    parts = ["### While it trains: rows per second of processor time, and of a validation"]
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in NETWORKS.items():
            parts.append(f"{name}:\n\n{_features(Path(folder), sizes)}")
        lines = [
            "| network | validation, rows/s, median (range) | evaluation | times an evaluation |",
            "|---|---|---|---|",
            *(_validation(Path(folder), name, sizes) for name, sizes in NETWORKS.items()),
        ]
    return "\n\n".join([*parts, "\n".join(lines)])


def _features(folder: Path, sizes: Sizes) -> str:
    """Return the table of one network."""
    programs: dict[str, Callable[[], Work]] = {}
    for name, settings in {**ALONE, **VALIDATED}.items():
        training = make_training(
            folder, sizes, other_rows=OTHER_ROWS, validates=name in VALIDATED, **settings
        )
        programs[name] = _training(training)
    found = compare(programs, "rows/s", runs=_RUNS)
    alone, validated = (
        Comparison({name: found.rates[name] for name in names}, found.unit)
        for names in (ALONE, VALIDATED)
    )
    return f"{alone.table(_PLAIN)}\n\n{validated.table(_VALIDATED)}"


def _training(training: MockTraining) -> Callable[[], Work]:
    """Return a program that trains once."""

    def train() -> Work:
        trainer = Trainer(training.recipe, training.data)
        sizes, epochs = training.recipe.training.sizes, training.recipe.training.settings.epochs
        return _work(trainer.run, sizes.rows * epochs)

    return train


def _validation(folder: Path, name: str, sizes: Sizes) -> str:
    """Return the line of one network: a validation beside an evaluation of the same rows."""
    training = make_training(folder, sizes, other_rows=OTHER_ROWS, validates=True)
    recipe, data = training.recipe, training.data
    assert recipe.training.validation is not None
    files = [str(folder / file) for file in ("model", "history", "performance")]
    Trainer(recipe, data).run().write(*files, code="sha256:benchmark")
    parts = build_training_parts(recipe.training, torch.device("cpu"))
    validator = Validator(
        recipe.training, recipe.training.validation, parts, data, RunContext(), is_sharded=False
    )
    evaluator = Evaluator(recipe, data, files[0])

    def validate() -> Work:
        return _work(
            lambda: validator.validate(step=1, epoch=1, should_stop=lambda: False), OTHER_ROWS
        )

    def evaluate() -> Work:
        return _work(lambda: evaluator.run(str(folder / "predictions.npy"), 1), OTHER_ROWS)

    found: Comparison = compare({"validation": validate, "evaluation": evaluate}, "rows/s")
    one, other = (spread(found.rates[key], "{:,.0f}") for key in ("validation", "evaluation"))
    ratio = spread(found.ratio("evaluation", "validation"), "{:.2f}")
    return f"| {name} | {one} | {other} | {ratio} |"


def _work(program: Callable[[], object], rows: int) -> Work:
    """Run a program, and return the rows and its processor time."""
    start = time.process_time()
    program()
    return Work(rows, time.process_time() - start)
