"""Peak memory by the size of a micro-batch, with the same rows per step; drawn to docs/images/."""

import tempfile
from pathlib import Path

from benchmarks.trainings import Sizes, make_training, train

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "accumulation.png"

ROWS_PER_STEP = 16_384

#: Rows of a micro-batch.
BATCH_SIZES = [16_384, 8_192, 4_096, 2_048, 1_024, 512, 256]

FEATURES = 256
HIDDEN = (1024, 1024)

REDUCTIONS = ("reproducible", "fast")

#: Peak memory in MiB by reduction and rows of a micro-batch.
Peaks = dict[str, dict[int, float]]


def main() -> str:
    """Return the table, and draw the figure."""
    peaks = {reduction: _peaks(reduction) for reduction in REDUCTIONS}
    _draw(peaks)
    lines = [
        f"### Memory: {FEATURES}-1024-1024-1, {ROWS_PER_STEP:,} rows a step, peak of the process "
        "in MiB",
        "",
        "| rows of a micro-batch | micro-batches | reproducible | fast |",
        "|---|---|---|---|",
    ]
    for size in BATCH_SIZES:
        cells = " | ".join(f"{peaks[reduction][size]:,.0f}" for reduction in REDUCTIONS)
        lines.append(f"| {size:,} | {ROWS_PER_STEP // size} | {cells} |")
    return "\n".join(lines)


def _peaks(reduction: str) -> dict[int, float]:
    """Return the peak memory in MiB by the rows of a micro-batch."""
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for batch_size in BATCH_SIZES:
            sizes = Sizes(
                features=FEATURES,
                hidden=HIDDEN,
                rows=ROWS_PER_STEP,
                batch_size=batch_size,
                accumulation_steps=ROWS_PER_STEP // batch_size,
                epochs=2,
            )
            performance = train(folder, make_training(folder, sizes, reduction=reduction))
            peaks[batch_size] = performance.peak_memory_bytes / (1 << 20)
    return peaks


def _draw(peaks: Peaks) -> None:
    from memtrain.reporting.figures.style import BLUE, ORANGE, Head, figure

    head = Head(
        f"The same step of {ROWS_PER_STEP:,} rows, in smaller pieces",
        f"{FEATURES}-1024-1024-1 network, float32, on the CPU",
    )
    with figure(FIGURE, 6.4, 3.6, head) as drawn:
        axes = drawn.subplots()
        for (reduction, by_size), colour in zip(peaks.items(), (BLUE, ORANGE), strict=True):
            axes.plot(by_size.keys(), by_size.values(), "o-", color=colour, label=reduction)
        axes.set_xscale("log", base=2)
        axes.set_xticks(BATCH_SIZES, [f"{size:,}" for size in BATCH_SIZES])
        axes.set(xlabel="rows of a micro-batch", ylabel="peak memory of the process, MiB")
        axes.set_ylim(0)
        axes.legend(loc="upper left")
