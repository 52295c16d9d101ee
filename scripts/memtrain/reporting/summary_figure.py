"""The summary as a figure: the main metric of every split, or what it depends on in a sweep."""

import math
import os
from collections.abc import Mapping

from memtrain.evaluation.result import Evaluation
from memtrain.reporting.figures.comparison import ComparedSplit, draw_comparison
from memtrain.reporting.figures.dependence import DrawnTraining, draw_dependence
from memtrain.reporting.figures.style import Heading, figure, say_nothing_to_draw, shortened
from memtrain.reporting.summary import Summary
from memtrain.reporting.sweep_results import SEED_KEY, SweepResults, value_of

_LONGEST_NAME = 28

#: The key under which the splits of a sweep are drawn; no setting has it.
_SPLIT = "split"


def draw_summary(path: str | os.PathLike, summary: Summary) -> None:
    """Draw the main metric of the splits, with their standard errors and baselines.

    Metrics of different tasks have different scales: only splits of the first task are drawn, and
    of the others the number is told. Where no split is evaluated, the figure says so. Of a sweep,
    the metric is drawn against each setting that differs.

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
    settings = _drawn_settings(shown.sweep, summary.setting_labels)
    heading = Heading(
        f"{name}: {label} of {count} split{'s' if count > 1 else ''}",
        "on their evaluation rows, with standard errors"
        if not settings
        else "on their evaluation rows; points are trainings, lines are medians",
    )
    if others:
        heading = heading.with_remark(f"{others} of another task not shown")
    if not_evaluated:
        heading = heading.with_remark(f"{not_evaluated} not evaluated")
    if summary.left_out:
        heading = heading.with_remark(f"{len(summary.left_out)} not finished")
    if shown.sweep is not None and settings:
        _draw_sweep(path, heading, label, shown.sweep, settings, summary)
        return
    splits = [_compared_split(one, shown.main_metric) for one in shown.evaluations]
    less_is_better = shown.evaluations[0].less_is_better
    if shown.sweep is not None:
        less_is_better = shown.sweep.less_is_better
    draw_comparison(path, heading, label, splits, less_is_better=less_is_better)


def _drawn_settings(results: SweepResults | None, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of the settings of a sweep that a metric is drawn against, by keys.

    A seed is none, since no order of seeds means anything.
    """
    if results is None:
        return {}
    drawn = {key: label for key, label in labels.items() if key != SEED_KEY}
    return drawn | ({_SPLIT: _SPLIT} if results.has_groups else {})


def _draw_sweep(
    path: str | os.PathLike,
    heading: Heading,
    metric: str,
    results: SweepResults,
    settings: dict[str, str],
    summary: Summary,
) -> None:
    assert summary.sweep is not None
    draw_dependence(
        path,
        heading,
        metric=metric,
        less_is_better=results.less_is_better,
        labels=settings,
        trainings=[
            DrawnTraining(math.nan if value is None else value, {**one.settings, _SPLIT: one.group})
            for one in results.trainings
            for value in [value_of(one.evaluation, results.metric)]
        ],
        log_keys=frozenset(summary.sweep.log_keys),
    )


def _compared_split(evaluation: Evaluation, metric: str) -> ComparedSplit:
    return ComparedSplit(
        name=evaluation.split,
        value=value_of(evaluation, metric),
        error=evaluation.errors.get(metric),
        baseline=evaluation.baseline.get(metric),
    )
