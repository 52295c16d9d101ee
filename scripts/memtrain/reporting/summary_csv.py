"""The summary as a CSV file, for programs."""

import csv
import io
import os

from memtrain.evaluation.result import Evaluation
from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.system.atomic_files import write_text

_MIB = 1 << 20


def write_csv(path: str | os.PathLike, summary: Summary) -> None:
    """Write a line for every split and a column for every value, in full precision.

    A value that is not defined is left empty, and so are all values of an evaluation where a split
    has none. Where splits have different tasks, every metric of every task has a column.
    """
    # A split without an evaluation has no metrics, and would put those of others last.
    ordered = sorted(summary.splits, key=lambda split: split.evaluation is None)
    columns = list(dict.fromkeys(name for split in ordered for name in _values(split)))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_values, summary.splits))
    write_text(path, text.getvalue())


def _values(split: SplitSummary) -> dict[str, str | float | None]:
    """Return the values of a split, by column."""
    evaluation, performance, job = split.evaluation, split.performance, split.job
    values: dict[str, str | float | None] = {
        "split": split.name,
        "rows_trained": split.rows_trained,
        "rows_evaluated": evaluation.rows if evaluation else 0,
        "steps": split.steps,
        "parameters": evaluation.parameters if evaluation else None,
    }
    if evaluation:
        values |= _metrics(evaluation)
    return values | {
        "loss": evaluation.loss if evaluation else None,
        "ratio_to_lowest_loss": evaluation.ratio_to_lowest_loss if evaluation else None,
        "seconds": performance.seconds if performance else None,
        "rows_per_second": performance.rows_per_second if performance else None,
        "peak_memory_mib": performance.peak_memory_bytes / _MIB if performance else None,
        "requested_memory_mb": job.requested_mb,
        "used_memory_mb": job.used_mb,
        "requested_minutes": job.requested_minutes,
        "used_minutes": None if job.used_seconds is None else job.used_seconds / 60,
        "batch_variance": split.batch_variance,
    }


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    """Return the metrics of an evaluation with their errors, then those of the baseline."""
    values: dict[str, float | None] = {}
    for metric in evaluation.labels:
        values[metric] = evaluation.metrics[metric]
        values[f"{metric}_error"] = evaluation.errors[metric]
    return values | {
        f"baseline_{metric}": evaluation.baseline[metric] for metric in evaluation.labels
    }
