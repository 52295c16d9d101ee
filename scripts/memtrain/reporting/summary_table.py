"""The summary as Markdown that reads well in a terminal, and says what its columns mean."""

import os
from collections.abc import Iterator

from memtrain.core.number_format import format_with_error
from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.system.atomic_files import write_text

Table = list[list[str]]

#: Of a task: the metric whose baseline tells most, and what the baseline is.
_BASELINES = {
    "regression": ("rmse", "that predicts the mean of the training targets, whatever the row"),
    "classification": ("accuracy", "that predicts the most frequent class, whatever the row"),
}

_MEANINGS = {
    "regression": "R²: the share of the target's variance that is predicted; 1 is the best, and 0 "
    "is what the\n  mean of the rows reaches. RMSE, MAE, MSE: errors in units of the target (MSE: "
    "squared).",
    "classification": "accuracy: the share of rows whose class is predicted. F1: the mean of the "
    "classes' F1, each\n  class counting alike. cross entropy: in nats, of the probability of the "
    "true class.",
    "other": "loss: of the user's own, the mean of a row; less is better. What these models give "
    "is no\n  prediction of the target, so that there is no other metric and no baseline.",
}

_LOSSES = {"regression": "MSE", "classification": "cross entropy"}


def write_table(path: str | os.PathLike, summary: Summary) -> None:
    """Write the summary as Markdown."""
    count = len(summary.splits)
    parts = [
        f"# {summary.dataset}: {count} split{'s' if count > 1 else ''}",
        *(part for group in summary.by_task for part in _quality_of_task(group)),
        _as_markdown(_effort(summary)),
        "\n".join(f"- {line}" for line in _explain_effort()),
        _as_markdown(_asked(summary)),
        "\n".join(f"- {line}" for line in _explain_asked()),
    ]
    write_text(path, "\n\n".join(parts) + "\n")


def _quality_of_task(summary: Summary) -> Iterator[str]:
    yield _as_markdown(_quality(summary))
    yield "\n".join(f"- {line}" for line in _explain_quality(summary))


def _quality(summary: Summary) -> Table:
    """Return how good the splits are, a row a split after the names of the columns."""
    task = summary.splits[0].evaluation.task
    baseline, _ = _BASELINES.get(task, (None, None))
    beside = [f"baseline {summary.labels[baseline]}"] if baseline else []
    has_ratio = _knows_lowest_loss(summary)
    ratio = [f"{_LOSSES[task]} / lowest"] if has_ratio else []
    table = [["split", *summary.labels.values(), *beside, *ratio]]
    for split in summary.splits:
        evaluation = split.evaluation
        metrics = [
            format_with_error(evaluation.metrics[name], evaluation.errors[name])
            for name in summary.labels
        ]
        ratio = [format_with_error(evaluation.ratio_to_lowest_loss)] if has_ratio else []
        beside = [format_with_error(evaluation.baseline[baseline])] if baseline else []
        table.append([evaluation.split, *metrics, *beside, *ratio])
    return table


def _explain_quality(summary: Summary) -> Iterator[str]:
    best, task = summary.best, summary.splits[0].evaluation.task
    baseline, knowledge = _BASELINES.get(task, (None, None))
    if best is not None:
        reached = best.evaluation.describe(summary.main_metric)
        yield f"Best: {best.evaluation.split}, with {reached}."
    yield _MEANINGS[task] + _about_targets(summary)
    resamples = max(split.resamples for split in summary.splits)
    if resamples and task != "other":
        yield f"±: standard error, from {resamples:,} resamples of the evaluation rows."
    if baseline:
        yield f"baseline {summary.labels[baseline]}: of a model {knowledge}."
    if _knows_lowest_loss(summary):
        yield (
            f"{_LOSSES[task]} / lowest: how many times the lowest that any model can reach, which "
            "is known for\n  rows that were made up."
        )
    if any(None in split.evaluation.metrics.values() for split in summary.splits):
        yield "-: not defined for these rows, or the model's predictions are not finite."


def _about_targets(summary: Summary) -> str:
    targets = summary.splits[0].evaluation.per_target
    return f"\n  Each is the mean over the {len(targets)} targets." if targets else ""


def _effort(summary: Summary) -> Table:
    """Return what the splits took, likewise."""
    names = ["split", "trained on", "evaluated on", "steps", "parameters"]
    names += ["seconds", "rows/s", "peak MiB", "batch variance"]
    return [names, *map(_effort_of, summary.splits)]


def _effort_of(split: SplitSummary) -> list[str]:
    evaluation = split.evaluation
    counts = (split.rows_trained, evaluation.rows, evaluation.steps, evaluation.parameters)
    return [
        evaluation.split,
        *(f"{count:,}" for count in counts),
        f"{split.seconds:,.1f}",
        f"{split.rows_per_second:,.0f}",
        f"{split.peak_memory_bytes / (1 << 20):,.0f}",
        f"{split.batch_variance:.3g}",
    ]


def _explain_effort() -> Iterator[str]:
    yield "trained on, evaluated on: rows. steps: of the optimizer. parameters: numbers trained."
    yield "seconds, rows/s, peak MiB: of the training, on the machine that it ran on."
    yield (
        "batch variance: of a batch's mean, over that of a uniform shuffle, were the rows sorted\n"
        "  by the target; 1 where they are mixed as a whole, or lie in random order."
    )


def _asked(summary: Summary) -> Table:
    """Return what the trainings asked for as jobs, and what they used, likewise."""
    names = ["split", "asked MB", "used MB", "asked minutes", "used minutes"]
    return [names, *map(_asked_of, summary.splits)]


def _asked_of(split: SplitSummary) -> list[str]:
    job = split.job
    minutes = None if job.seconds is None else job.seconds / 60
    return [
        split.evaluation.split,
        *("-" if value is None else f"{value:,.0f}" for value in (job.asked_mb, job.used_mb)),
        "-" if job.asked_minutes is None else f"{job.asked_minutes:,.0f}",
        "-" if minutes is None else f"{minutes:,.1f}",
    ]


def _explain_asked() -> Iterator[str]:
    yield (
        "asked, used: of the last try of the training as a job, with the start of its processes.\n"
        "  Memory that was used counts pages of the data that are mapped; the system takes these\n"
        "  back where memory runs short."
    )
    yield "-: not known, or no limit."


def _knows_lowest_loss(summary: Summary) -> bool:
    return any(split.evaluation.ratio_to_lowest_loss is not None for split in summary.splits)


def _as_markdown(table: Table) -> str:
    """Return an aligned table; the first column to the left, numbers to the right."""
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (*table, rule)
    ]
    lines.insert(1, lines.pop())
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
