"""The summary as a CSV file, for programs."""

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

from memtrain.evaluation.result import Evaluation
from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text

_MIB = 1 << 20


def write_csv(path: str | os.PathLike, summary: Summary) -> None:
    """Write a line for every split and a column for every value, in full precision.

    A value that is not defined is left empty, and so are all values of an evaluation where a split
    has none. Where splits have different tasks, every metric of every task has a column. With a
    sweep, every setting that differs has one, by its full key. A split that is not finished has
    nothing but its name.
    """
    # A split without an evaluation has no metrics, and would put those of others last.
    ordered = sorted(summary.splits, key=lambda split: split.evaluation is None)
    keys = list(summary.setting_labels) if summary.sweep is not None else None
    columns = list(dict.fromkeys(name for split in ordered for name in _values(split, keys)))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_values(split, keys) for split in summary.splits)
    writer.writerows({"split": name} for name in summary.left_out)
    write_text(path, text.getvalue())


def _values(split: SplitSummary, keys: Sequence[str] | None) -> dict[str, str | float | None]:
    """Return the values of a split, by column.

    Args:
        split: the split.
        keys: the settings of a sweep that have columns; None without a sweep.
    """
    evaluation, performance, job = split.evaluation, split.performance, split.job
    values: dict[str, str | float | None] = {"split": split.name}
    if keys is not None:
        values |= {"group": split.group} | {key: _cell(split.settings.get(key)) for key in keys}
    values |= {
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


def _cell(value: Any) -> str | None:
    """Return a setting as JSON, or a text as it is."""
    return value if value is None or isinstance(value, str) else canonical_json.dumps(value)


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    """Return the metrics of an evaluation with their errors, then those of the baseline."""
    values: dict[str, float | None] = {}
    for metric in evaluation.labels:
        values[metric] = evaluation.metrics[metric]
        values[f"{metric}_error"] = evaluation.errors[metric]
    return values | {
        f"baseline_{metric}": evaluation.baseline[metric] for metric in evaluation.labels
    }
