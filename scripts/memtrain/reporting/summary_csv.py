"""The summary as a CSV file, for programs."""

import csv
import io
import os

from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.system.atomic_files import write_text

_MIB = 1 << 20


def write_csv(path: str | os.PathLike, summary: Summary) -> None:
    """Write a line for every split and a column for every value, in full precision.

    A value that is not defined is left empty. Where splits have different tasks, every metric of
    every task has a column.
    """
    columns = list(dict.fromkeys(name for split in summary.splits for name in _values(split)))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_values, summary.splits))
    write_text(path, text.getvalue())


def _values(split: SplitSummary) -> dict[str, str | float | None]:
    """Return the values of a split, by column."""
    evaluation, performance, job = split.evaluation, split.performance, split.job
    values: dict[str, str | float | None] = {
        "split": evaluation.split,
        "rows_trained": split.rows_trained,
        "rows_evaluated": evaluation.rows,
        "steps": evaluation.steps,
        "parameters": evaluation.parameters,
    }
    for metric in evaluation.labels:
        values[metric] = evaluation.metrics[metric]
        values[f"{metric}_error"] = evaluation.errors[metric]
    values |= {f"baseline_{metric}": evaluation.baseline[metric] for metric in evaluation.labels}
    return values | {
        "loss": evaluation.loss,
        "ratio_to_lowest_loss": evaluation.ratio_to_lowest_loss,
        "seconds": performance.seconds if performance else None,
        "rows_per_second": performance.rows_per_second if performance else None,
        "peak_memory_mib": performance.peak_memory_bytes / _MIB if performance else None,
        "requested_memory_mb": job.requested_mb,
        "used_memory_mb": job.used_mb,
        "requested_minutes": job.requested_minutes,
        "used_minutes": None if job.used_seconds is None else job.used_seconds / 60,
        "batch_variance": split.batch_variance,
    }
