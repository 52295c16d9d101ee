"""The summary as a figure: the main metric of every split."""

import os

from memtrain.reporting.figures.comparison import ComparedSplit, draw_comparison
from memtrain.reporting.figures.style import Heading, shortened
from memtrain.reporting.summary import SplitSummary, Summary

_LONGEST_NAME = 28


def draw_summary(path: str | os.PathLike, summary: Summary) -> None:
    """Draw the main metric of the splits, with their standard errors and baselines.

    Metrics of different tasks have different scales: only splits of the first task are drawn.

    Args:
        path: the PNG file to write.
        summary: the summary of all splits.
    """
    shown = summary.summaries_by_task[0]
    count, others = len(shown.splits), len(summary.splits) - len(shown.splits)
    label = shown.labels[shown.main_metric]
    name = shortened(summary.dataset, _LONGEST_NAME)
    heading = Heading(
        f"{name}: {label} of {count} split{'s' if count > 1 else ''}",
        "on their evaluation rows, with standard errors",
    )
    if others:
        heading = heading.with_remark(f"{others} of another task not shown")
    splits = [_compared_split(split, shown.main_metric) for split in shown.splits]
    draw_comparison(path, heading, label, splits)


def _compared_split(split: SplitSummary, metric: str) -> ComparedSplit:
    evaluation = split.evaluation
    return ComparedSplit(
        name=evaluation.split,
        value=evaluation.metrics[metric],
        error=evaluation.errors[metric],
        baseline=evaluation.baseline[metric],
    )
