"""What bfloat16 brings."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.gpu.findings import Finding, Setting
from benchmarks.gpu.trainings import work_of
from benchmarks.measuring import compare
from benchmarks.trainings import Sizes, make_training


def find(setting: Setting) -> Iterator[Finding]:
    """Yield the rates of both precisions."""
    width = setting.size(4096, 64)
    sizes = Sizes(
        1024,
        (width, width),
        setting.size(65_536, 1_024),
        batch_size=setting.size(2_048, 64),
        accumulation_steps=8,
        epochs=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        programs = {}
        for precision in ("float32", "bfloat16"):
            training = make_training(Path(folder), sizes, precision=precision)
            programs[precision] = partial(work_of, training, setting.device)
        comparison = compare(programs, "rows/s", runs=setting.size(2, 1), warm_up=setting.on_gpu)
        for precision, rates in comparison.rates.items():
            share = max(comparison.ratio(precision, "float32"))
            yield Finding(f"1024-4096-4096-1: {precision}", max(rates), "rows/s", share)
