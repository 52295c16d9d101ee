"""The summary as a figure: the main metric of every split."""

import os

from memtrain.evaluation.result import Evaluation
from memtrain.reporting.figures.comparison import ComparedSplit, draw_comparison
from memtrain.reporting.figures.style import Heading, figure, say_nothing_to_draw, shortened
from memtrain.reporting.summary import Summary

_LONGEST_NAME = 28


def draw_summary(path: str | os.PathLike, summary: Summary) -> None:
    """Draw the main metric of the splits, with their standard errors and baselines.

    Metrics of different tasks have different scales: only splits of the first task are drawn, and
    of the others the number is told. Where no split is evaluated, the figure says so.

    Args:
        path: the PNG file to write.
        summary: the summary of all splits.
    """
    name = shortened(summary.dataset, _LONGEST_NAME)
    not_evaluated, tasks = len(summary.not_evaluated), summary.tasks
    if not tasks:
        with figure(path, 6.4, 1.4, Heading(name, "nothing to compare")) as drawn:
            say_nothing_to_draw(drawn.subplots(), "No split has rows to evaluate on.")
        return
    shown = tasks[0]
    count = len(shown.evaluations)
    others = len(summary.splits) - count - not_evaluated
    label = shown.labels[shown.main_metric]
    heading = Heading(
        f"{name}: {label} of {count} split{'s' if count > 1 else ''}",
        "on their evaluation rows, with standard errors",
    )
    if others:
        heading = heading.with_remark(f"{others} of another task not shown")
    if not_evaluated:
        heading = heading.with_remark(f"{not_evaluated} not evaluated")
    splits = [_compared_split(one, shown.main_metric) for one in shown.evaluations]
    less_is_better = shown.evaluations[0].less_is_better
    draw_comparison(path, heading, label, splits, less_is_better=less_is_better)


def _compared_split(evaluation: Evaluation, metric: str) -> ComparedSplit:
    return ComparedSplit(
        name=evaluation.split,
        value=evaluation.metrics[metric],
        error=evaluation.errors[metric],
        baseline=evaluation.baseline[metric],
    )
