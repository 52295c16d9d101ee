"""Whether results are the same bits, run through or resumed, and near those of the CPU."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from benchmarks.gpu.findings import Finding, Setting, right
from benchmarks.gpu.trainings import context, stopping_after, trained
from benchmarks.trainings import MockTraining, Sizes, make_training
from memtrain.training.result import TrainingResult
from memtrain.training.stopping import TrainingStopped
from memtrain.training.trainer import Trainer


def _networks(setting: Setting) -> dict[str, Sizes]:
    small, large = setting.size(8_192, 1_024), setting.size(32_768, 8_192)
    return {
        "20-64-1": Sizes(20, (64,), small, batch_size=16, accumulation_steps=8, epochs=1),
        "128-256-1": Sizes(128, (256,), large, batch_size=256, accumulation_steps=8, epochs=1),
    }


#: What the losses of two kinds of device may differ by, relative to the loss. Float32 rounds at
#: 6e-8, and a step passes on what the steps before it have rounded.
_ROUNDING = 1e-3


def find(setting: Setting) -> Iterator[Finding]:
    """Yield whether results are equal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network, sizes in _networks(setting).items():
            for precision in ("float32", "bfloat16"):
                training = make_training(folder, sizes, precision=precision)
                yield from _compared(f"{network}, {precision}", training, setting, folder)


def _compared(
    name: str, training: MockTraining, setting: Setting, folder: Path
) -> Iterator[Finding]:
    one = trained(training, setting.device)
    yield right(f"{name}: two runs are equal", are_equal(one, trained(training, setting.device)))
    resumed = _resumed(training, setting, folder / f"state of {name}")
    yield right(f"{name}: resumed equals run through", are_equal(one, resumed))
    if training.recipe.training.settings.precision == "float32":
        on_cpu = trained(training, torch.device("cpu"))
        difference = farthest(one, on_cpu)
        what = f"{name}: largest difference to the CPU, of a loss"
        yield Finding(what, f"{difference:.1e}", is_wrong=difference > _ROUNDING)


def _resumed(training: MockTraining, setting: Setting, state: Path) -> TrainingResult:
    """Train half of it, and then the rest from the checkpoint."""
    where = context(setting.device, state)
    half = stopping_after(where, training.recipe.training.sizes.steps // 2)
    with suppress(TrainingStopped):
        Trainer(training.recipe, training.data, half).run()
    result = Trainer(training.recipe, training.data, where).run()
    if result.performance.runs != 2:
        raise RuntimeError("the training was not stopped and resumed")
    return result


def are_equal(one: TrainingResult, other: TrainingResult) -> bool:
    """Return whether two trainings have the same weights, history and order of rows, bit by bit."""
    return (
        one.weights.keys() == other.weights.keys()
        and all(torch.equal(part, other.weights[name]) for name, part in one.weights.items())
        and list(one.history) == list(other.history)
        and one.order_digest == other.order_digest
    )


def farthest(one: TrainingResult, other: TrainingResult) -> float:
    """Return the largest difference between losses of the same step, relative to the loss."""
    pairs = zip(one.history, other.history, strict=True)
    return max(abs(a.loss - b.loss) / max(abs(b.loss), math.ulp(1.0)) for a, b in pairs)
