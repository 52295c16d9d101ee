"""The summary as a document: what is best and how good it is; what explains it is folded."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from memtrain.core.number_format import format_with_error
from memtrain.core.wording import counted
from memtrain.evaluation.result import Evaluation
from memtrain.recipes.recipe import TaskKind
from memtrain.reporting.document import Bullets, Fold, Grid, Heading, Paragraph, Part, Picture
from memtrain.reporting.html_page import html_page
from memtrain.reporting.markdown import markdown
from memtrain.reporting.summary import SplitSummary, Summary, TaskSummary
from memtrain.reporting.summary_opening import opening, warnings
from memtrain.reporting.sweep_results import value_of
from memtrain.reporting.sweep_table import draws_left_out_text, means_over_seeds, setting_cell
from memtrain.system.atomic_files import write_text
from memtrain.workflow.leftovers import not_evaluated_text, unconfigured_text

#: The metric whose baseline says most, for each task that has a baseline.
_BASELINE_METRICS: dict[TaskKind, str] = {
    "regression": "rmse",
    "classification": "accuracy",
    "binary": "accuracy",
    "sequence": "bits_per_element",
}

#: What the baseline model of each task does, in words for a note.
_BASELINE_MODELS: dict[TaskKind, str] = {
    "regression": "a model that always predicts the mean of the training targets",
    "classification": "a model that always predicts the most frequent class of the training rows",
    "binary": "a model that always predicts the more frequent label of the training rows",
    "sequence": (
        "a unigram model, which gives every element the shares of "
        "the classes in the training rows (each counted once more), whatever comes before it"
    ),
}

#: What the metrics of each task mean.
_METRIC_MEANINGS: dict[TaskKind, str] = {
    "regression": (
        "R²: the share of the target's variance that is predicted; 1 is perfect, and 0 is what "
        "the mean of the rows reaches. RMSE, MAE, MSE: errors in units of the target (MSE: "
        "squared)."
    ),
    "classification": (
        "accuracy: the share of rows whose class is predicted correctly. F1: the mean of the F1 "
        "of all classes, each with equal weight. cross entropy: in nats, from the probability "
        "of the true class. AUROC, average precision: how well the probability of a class ranks "
        "its rows, the mean over the classes (of two classes: of the second). calibration "
        "error: the mean distance between probabilities and the shares that came true."
    ),
    "binary": (
        "accuracy: the share of labels that are predicted correctly. F1: of the label yes (1). "
        "cross entropy: in nats, from the probability of the true label. AUROC, average "
        "precision: how well the probability of yes ranks the rows. calibration error: the mean "
        "distance between probabilities and the shares that came true."
    ),
    "sequence": (
        "{bits}: how many bits the model needs on average to write down one {element}, if "
        "it is coded by the probabilities that the model gives; less is better. cross entropy: "
        "the same in nats. perplexity: e to the power of it. accuracy: the share of {elements} "
        "whose most probable class is the true one."
    ),
    "other": (
        "loss: the mean over the rows; less is better. What the outputs of these models mean is "
        "not declared, so there is no other metric and no baseline."
    ),
}

#: The loss whose lowest possible value may be known, for each task, as people call it.
_LOSS_LABELS: dict[TaskKind, str] = {
    "regression": "MSE",
    "classification": "cross entropy",
    "binary": "cross entropy",
    "sequence": "cross entropy",
}


def write_table(
    path: str | os.PathLike, summary: Summary, figure: str | os.PathLike | None = None
) -> None:
    """Write the summary as Markdown.

    Args:
        path: the file to write.
        summary: the summary of all splits.
        figure: the comparison, in the folder of the file; None for a summary without it.
    """
    write_text(path, markdown(summary_document(summary, figure)))


def write_page(path: str | os.PathLike, summary: Summary, figure: str | os.PathLike) -> None:
    """Write the summary as an HTML page that holds the comparison.

    Args:
        path: the file to write.
        summary: the summary of all splits.
        figure: the comparison.
    """
    write_text(path, html_page(summary_document(summary, figure), Path(figure).parent))


def summary_document(summary: Summary, figure: str | os.PathLike | None = None) -> list[Part]:
    """Return the summary as a document.

    Args:
        summary: the summary of all splits.
        figure: the comparison; None for a summary without it.
    """
    parts: list[Part] = [Heading(f"{summary.dataset}: {counted(len(summary.names), 'split')}", 1)]
    folds: list[Part] = []
    if summary.unfinished is not None:
        headline, *notes = summary.unfinished.told(summary.names)
        parts += [Paragraph(headline, is_alert=True), Bullets(tuple(notes))]
    for task in summary.tasks:
        shown, folded = _parts_of_task(task, summary.setting_labels)
        parts += shown
        folds += folded
    parts += map(Paragraph, _remarks(summary))
    if figure is not None:
        parts.append(Picture(Path(figure).name, "The splits compared"))
    return [*parts, *folds, *_costs(summary)]


def _parts_of_task(task: TaskSummary, settings: Mapping[str, str]) -> tuple[list[Part], list[Part]]:
    """Return what the summary says of a task at once, and what it folds.

    Args:
        task: the splits of the task.
        settings: the labels of the settings that have columns, by their keys.
    """
    table = _quality_table(task, settings)
    told = list(warnings(task))
    if task.resamples and task.task != "other":
        told.append(f"±: standard error, from {task.resamples:,} resamples of the evaluation rows.")
    notes: list[Part] = [Bullets(tuple(told))] if told else []
    parts: list[Part] = [Paragraph(text)] if (text := " ".join(opening(task))) else []
    label = task.labels[task.main_metric]
    columns = Bullets(tuple(_quality_notes(task)))
    title = (
        f"What {label} and the other columns mean"
        if len(task.labels) > 1
        else f"What {label} means"
    )
    meanings = Fold(title, (columns,))
    if task.sweep is None or not (means := means_over_seeds(task.sweep, task.labels, settings)):
        return [*parts, table, *notes], [meanings]
    trainings = Fold(f"All {counted(len(task.evaluations), 'training')}, by {label}", (table,))
    return [*parts, *means, *notes], [trainings, meanings]


def _remarks(summary: Summary) -> Iterator[str]:
    """Yield what no table has."""
    if summary.sweep is not None and summary.sweep.draws_left_out:
        yield draws_left_out_text(summary.sweep)
    if summary.not_evaluated:
        yield not_evaluated_text(summary.not_evaluated)
    if summary.unconfigured:
        yield unconfigured_text(summary.unconfigured)


def _costs(summary: Summary) -> list[Part]:
    """Return what the trainings took, folded."""
    return [
        Fold(
            "Trainings: rows, steps, speed, memory",
            (_training_table(summary), Bullets(tuple(_training_notes(summary)))),
        ),
        Fold(
            "Resources that the trainings requested and used",
            (_resource_table(summary), Bullets(tuple(_resource_notes()))),
        ),
    ]


def _setting(swept: Mapping[str, Mapping[str, Any]], key: str, one: Evaluation) -> str:
    return setting_cell(swept[one.split].get(key))


def _metric(name: str, one: Evaluation) -> str:
    return format_with_error(value_of(one, name), one.errors.get(name))


def _baseline(name: str, one: Evaluation) -> str:
    return format_with_error(one.baseline[name])


def _quality_table(summary: TaskSummary, settings: Mapping[str, str]) -> Grid:
    """Return the metrics of all splits of a task; a baseline stands beside its metric.

    Args:
        summary: the task.
        settings: the labels of the settings that have columns, by their keys.
    """
    columns: dict[str, Callable[[Evaluation], str]] = {"split": lambda one: one.split}
    if summary.sweep is not None:
        swept = {one.evaluation.split: one.settings for one in summary.sweep.trainings}
        for key, label in settings.items():
            columns[label] = partial(_setting, swept, key)
    for name, label in summary.labels.items():
        columns[label] = partial(_metric, name)
        if name == _BASELINE_METRICS.get(summary.task):
            columns[f"baseline {label}"] = partial(_baseline, name)
    if _knows_lowest_loss(summary):
        ratio = f"{_LOSS_LABELS[summary.task]} / lowest"
        columns[ratio] = lambda one: format_with_error(one.ratio_to_lowest_loss)
    lines = [[cell(one) for cell in columns.values()] for one in summary.evaluations]
    return Grid([list(columns), *lines])


def _quality_notes(summary: TaskSummary) -> Iterator[str]:
    """Yield what the columns of ``_quality_table`` mean."""
    task = summary.task
    yield _meaning_of_metrics(summary) + _note_on_targets(summary)
    if task in _BASELINE_METRICS:
        label = summary.labels[_BASELINE_METRICS[task]]
        yield f"baseline {label}: that of {_BASELINE_MODELS[task]}."
    if _knows_lowest_loss(summary):
        yield (
            f"{_LOSS_LABELS[task]} / lowest: divided by the lowest that any model can reach, "
            "which is known for generated rows."
        )
    values = [value_of(one, name) for one in summary.evaluations for name in summary.labels]
    if None in values:
        yield "-: not defined for these rows, or the model's predictions are not finite."


def _meaning_of_metrics(summary: TaskSummary) -> str:
    meaning = _METRIC_MEANINGS[summary.task]
    if summary.task != "sequence":
        return meaning
    bits = summary.labels["bits_per_element"]
    element = bits.removeprefix("bits per ")
    return meaning.format(bits=bits, element=element, elements=f"{element}s")


def _note_on_targets(summary: TaskSummary) -> str:
    targets = summary.evaluations[0].per_target
    return f" Each is the mean over the {len(targets)} targets." if targets else ""


def _training_table(summary: Summary) -> Grid:
    """Return the sizes of all trainings, and their speed and memory."""
    columns = ["split", "trained on", "evaluated on", "steps", "parameters"]
    columns += ["seconds", "rows/s", "peak MiB", "batch variance"]
    return Grid([columns, *map(_training_line, summary.splits)])


def _training_line(split: SplitSummary) -> list[str]:
    evaluation, performance = split.evaluation, split.performance
    return [
        split.name,
        f"{split.rows_trained:,}",
        f"{evaluation.rows:,}" if evaluation else "none",
        f"{split.steps:,}",
        f"{evaluation.parameters:,}" if evaluation else "-",
        f"{performance.seconds:,.1f}" if performance else "?",
        f"{performance.rows_per_second:,.0f}" if performance else "?",
        f"{performance.peak_memory_bytes / (1 << 20):,.0f}" if performance else "?",
        f"{split.batch_variance:.3g}",
    ]


def _training_notes(summary: Summary) -> Iterator[str]:
    """Yield what the columns of ``_training_table`` mean."""
    yield (
        "trained on, evaluated on: numbers of rows. steps: optimizer steps. parameters: numbers "
        "that were trained"
        + ("; -: counted by evaluations alone." if summary.not_evaluated else ".")
    )
    yield "seconds, rows/s, peak MiB: of the training, on the machine that it ran on."
    yield (
        "batch variance: the variance of a batch's mean, divided by that under a uniform "
        "shuffle, if the rows were sorted by the target; 1 where all rows are mixed, or lie in "
        "random order."
    )


def _resource_table(summary: Summary) -> Grid:
    """Return the resources that the trainings requested and used as jobs."""
    columns = ["split", "requested MB", "used MB", "requested minutes", "used minutes"]
    return Grid([columns, *map(_resource_line, summary.splits)])


def _resource_line(split: SplitSummary) -> list[str]:
    job = split.job
    minutes = None if job.used_seconds is None else job.used_seconds / 60
    return [
        split.name,
        _number(job.requested_mb),
        _number(job.used_mb),
        _number(job.requested_minutes),
        _number(minutes, decimals=1),
    ]


def _number(value: float | None, decimals: int = 0) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _resource_notes() -> Iterator[str]:
    """Yield what the columns of ``_resource_table`` mean."""
    yield (
        "requested, used: by the last try of the training as a job, the start of its processes "
        "included. Used memory includes mapped pages of the data, which the system takes back "
        "when memory runs short."
    )
    yield "-: not known, or no limit."


def _knows_lowest_loss(summary: TaskSummary) -> bool:
    return any(one.ratio_to_lowest_loss is not None for one in summary.evaluations)
