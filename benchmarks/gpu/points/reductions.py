"""Exact sums beside the fastest ones, from calls that decide to sums that decide."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.gpu.findings import Finding, Setting
from benchmarks.gpu.trainings import work_of
from benchmarks.measuring import compare
from benchmarks.trainings import Sizes, make_training


def _networks(setting: Setting) -> dict[str, Sizes]:
    wide = setting.size(2048, 64)
    return {
        "20-64-1, batch 16 x 8": Sizes(
            20, (64,), setting.size(32_768, 1_024), batch_size=16, accumulation_steps=8, epochs=1
        ),
        "1024-2048-2048-1, batch 64 x 8": Sizes(
            1024, (wide, wide), setting.size(32_768, 1_024), 64, accumulation_steps=8, epochs=1
        ),
        "1024-2048-2048-1, batch 1,024 x 8": Sizes(
            1024,
            (wide, wide),
            setting.size(65_536, 1_024),
            batch_size=setting.size(1_024, 64),
            accumulation_steps=8,
            epochs=1,
        ),
    }


def find(setting: Setting) -> Iterator[Finding]:
    """Yield the rates of both reductions for every network."""
    with tempfile.TemporaryDirectory() as folder:
        for network, sizes in _networks(setting).items():
            programs = {}
            for reduction in ("fast", "reproducible"):
                training = make_training(Path(folder), sizes, reduction=reduction)
                programs[reduction] = partial(work_of, training, setting.device)
            comparison = compare(
                programs, "rows/s", runs=setting.size(3, 1), warm_up=setting.on_gpu
            )
            for reduction, rates in comparison.rates.items():
                shares = sorted(comparison.ratio(reduction, "fast"))
                rate, share = (sorted(part)[len(part) // 2] for part in (rates, shares))
                yield Finding(f"{network}: {reduction}", rate, "rows/s", share)
