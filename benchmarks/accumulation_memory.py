"""Memory against the size of a micro-batch, at a fixed effective batch; drawn to docs/images/."""

import tempfile
from pathlib import Path

from benchmarks.training_speed import recipe_of
from benchmarks.trainings import train

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "accumulation.png"

#: Rows of an optimizer step, and of its micro-batches.
ROWS = 16_384
MICRO_BATCHES = [16_384, 8_192, 4_096, 2_048, 1_024, 512, 256]

COLUMNS, HIDDEN = 256, [1024, 1024]


def main() -> str:
    """Return the table, and draw it."""
    found = {reduction: _peaks(reduction) for reduction in ("reproducible", "fast")}
    _draw(found)
    lines = [
        f"### Memory: {COLUMNS}-1024-1024-1, {ROWS:,} rows a step, peak of the process in MiB",
        "",
        "| rows of a micro-batch | micro-batches | reproducible | fast |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {size:,} | {ROWS // size} | {found['reproducible'][size]:,.0f} "
        f"| {found['fast'][size]:,.0f} |"
        for size in MICRO_BATCHES
    ]
    return "\n".join(lines)


def _peaks(reduction: str) -> dict[int, float]:
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in MICRO_BATCHES:
            sizes = (COLUMNS, HIDDEN, ROWS, size, ROWS // size, 2)
            recipe, data = recipe_of(folder, sizes, reduction=reduction)
            performance = train(folder, recipe, data)
            peaks[size] = performance["peak_memory_bytes"] / (1 << 20)
    return peaks


def _draw(found: dict[str, dict[int, float]]) -> None:
    from memtrain.reporting.figures.style import BLUE, ORANGE, Head, figure

    head = Head(
        f"The same step of {ROWS:,} rows, in smaller pieces",
        f"{COLUMNS}-1024-1024-1 network, float32, on the CPU",
    )
    with figure(FIGURE, 6.4, 3.6, head) as drawn:
        axes = drawn.subplots()
        for (reduction, peaks), colour in zip(found.items(), (BLUE, ORANGE), strict=True):
            axes.plot(peaks.keys(), peaks.values(), "o-", color=colour, label=reduction)
        axes.set_xscale("log", base=2)
        axes.set_xticks(MICRO_BATCHES, [f"{size:,}" for size in MICRO_BATCHES])
        axes.set(xlabel="rows of a micro-batch", ylabel="peak memory of the process, MiB")
        axes.set_ylim(0)
        axes.legend(loc="upper left")
