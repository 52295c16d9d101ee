"""What a training loses by waiting for rows and copies: the file beside one window replayed."""

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.findings import Finding, Setting
from benchmarks.gpu.trainings import context, trained, work_of
from benchmarks.measuring import Work, compare
from benchmarks.training_speed import ReplayingTrainer
from benchmarks.trainings import MockTraining, Sizes, make_training, training_work


def _networks(setting: Setting) -> dict[str, Sizes]:
    large = setting.size(2048, 32)
    return {
        "20-64-1, batch 16 x 8": Sizes(
            20, (64,), setting.size(32_768, 1_024), batch_size=16, accumulation_steps=8, epochs=1
        ),
        "128-256-1, batch 4,096 x 8": Sizes(
            128,
            (256,),
            setting.size(1_000_000, 8_192),
            batch_size=setting.size(4_096, 256),
            accumulation_steps=8,
            epochs=1,
        ),
        "1024-2048-2048-1, batch 1,024 x 8": Sizes(
            1024,
            (large, large),
            setting.size(65_536, 1_024),
            batch_size=setting.size(1_024, 64),
            accumulation_steps=8,
            epochs=1,
        ),
    }


def find(setting: Setting) -> Iterator[Finding]:
    """Yield the rates of every network."""
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in _networks(setting).items():
            training = make_training(Path(folder), sizes)
            programs = {
                "one window replayed": lambda training=training: _replayed(training, setting),
                "rows from the file": lambda training=training: work_of(training, setting.device),
            }
            comparison = compare(
                programs, "rows/s", runs=setting.size(2, 1), warm_up=setting.on_gpu
            )
            for program, rates in comparison.rates.items():
                share = max(comparison.ratio(program, "one window replayed"))
                yield Finding(f"{name}: {program}", max(rates), "rows/s", share)
            waited = trained(training, setting.device).performance.waiting_share
            yield Finding(f"{name}: share of the time that waits for rows", waited)


def _replayed(training: MockTraining, setting: Setting) -> Work:
    trainer = ReplayingTrainer(training.recipe, training.data, context(setting.device))
    work = training_work(trainer.run().performance)
    gc.collect()
    return work
