"""The summary as Markdown: tables that read well in a terminal, with notes on their columns."""

import os
from collections.abc import Iterator, Mapping

from memtrain.core.number_format import format_with_error
from memtrain.core.wording import listed
from memtrain.recipes.recipe import TaskKind
from memtrain.reporting.markdown import Table, bullets, markdown
from memtrain.reporting.summary import SplitSummary, Summary, TaskSummary
from memtrain.reporting.sweep_results import value_of
from memtrain.reporting.sweep_table import draws_left_out_text, setting_cells, sweep_parts
from memtrain.system.atomic_files import write_text
from memtrain.workflow.leftovers import not_evaluated_text, unconfigured_text

#: Splits that a note names, at most.
_MOST_SPLITS_NAMED = 10

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
        "a unigram model, which gives every element the shares of\n"
        "  the classes in the training rows (each counted once more), whatever comes before it"
    ),
}

#: What the metrics of each task mean.
_METRIC_MEANINGS: dict[TaskKind, str] = {
    "regression": (
        "R²: the share of the target's variance that is predicted; 1 is perfect, and 0 is what\n"
        "  the mean of the rows reaches. RMSE, MAE, MSE: errors in units of the target (MSE:\n"
        "  squared)."
    ),
    "classification": (
        "accuracy: the share of rows whose class is predicted correctly. F1: the mean of the F1\n"
        "  of all classes, each with equal weight. cross entropy: in nats, from the probability\n"
        "  of the true class. AUROC, average precision: how well the probability of a class ranks\n"
        "  its rows, the mean over the classes (of two classes: of the second). calibration\n"
        "  error: the mean distance between probabilities and the shares that came true."
    ),
    "binary": (
        "accuracy: the share of labels that are predicted correctly. F1: of the label yes (1).\n"
        "  cross entropy: in nats, from the probability of the true label. AUROC, average\n"
        "  precision: how well the probability of yes ranks the rows. calibration error: the mean\n"
        "  distance between probabilities and the shares that came true."
    ),
    "sequence": (
        "{bits}: how many bits the model needs on average to write down one {element}, if\n"
        "  it is coded by the probabilities that the model gives; less is better. cross entropy:\n"
        "  the same in nats. perplexity: e to the power of it. accuracy: the share of {elements}\n"
        "  whose most probable class is the true one."
    ),
    "other": (
        "loss: the mean over the rows; less is better. What the outputs of these models mean is\n"
        "  not declared, so there is no other metric and no baseline."
    ),
}

#: What to try where a model is worse than its baseline, for each task.
_ADVICE: dict[TaskKind, str] = {
    "regression": (
        "worse than the mean of the training\n"
        "  targets, so that its predictions are of no use. Try: features of one scale\n"
        "  (`training.transform: standardize`), targets of one scale (`training.target:\n"
        "  standardize`), another learning rate (`training.optimizer.lr`), more epochs; and look\n"
        "  at the learning curve."
    ),
    "classification": (
        "worse than always saying the most\n"
        "  frequent class. Try: features of one scale (`training.transform: standardize`),\n"
        "  another learning rate (`training.optimizer.lr`), more epochs; and look at the\n"
        "  learning curve."
    ),
}
_ADVICE["binary"] = _ADVICE["classification"]
_ADVICE["sequence"] = (
    "worse than a unigram model, which looks\n"
    "  at nothing that comes before. Try: another learning rate (`training.optimizer.lr`), a\n"
    "  schedule with warmup, more epochs; and look at the learning curve."
)

#: The loss whose lowest possible value may be known, for each task, as people call it.
_LOSS_LABELS: dict[TaskKind, str] = {
    "regression": "MSE",
    "classification": "cross entropy",
    "binary": "cross entropy",
    "sequence": "cross entropy",
}


def write_table(path: str | os.PathLike, summary: Summary) -> None:
    """Write the summary as Markdown."""
    count = len(summary.names)
    parts = [f"# {summary.dataset}: {count} split{'s' if count > 1 else ''}"]
    if summary.unfinished is not None:
        parts.append(summary.unfinished.headline(summary.names))
        parts.append(bullets(iter(summary.unfinished.notes(summary.names))))
    for task in summary.tasks:
        if task.sweep is not None:
            parts += sweep_parts(task.sweep, task.labels, summary.setting_labels)
        parts += [
            markdown(_quality_table(task, summary.setting_labels)),
            bullets(_quality_notes(task)),
        ]
    if summary.sweep is not None and summary.sweep.draws_left_out:
        parts.append(draws_left_out_text(summary.sweep))
    if summary.not_evaluated:
        parts.append(not_evaluated_text(summary.not_evaluated))
    if summary.unconfigured:
        parts.append(unconfigured_text(summary.unconfigured))
    parts += [
        "## Trainings",
        markdown(_training_table(summary)),
        bullets(_training_notes(summary)),
    ]
    parts += ["## Resources", markdown(_resource_table(summary)), bullets(_resource_notes())]
    write_text(path, "\n\n".join(parts) + "\n")


def _quality_table(summary: TaskSummary, settings: Mapping[str, str]) -> Table:
    """Return the metrics of all splits of a task.

    Args:
        summary: the task.
        settings: the labels of the settings that have columns, by their keys.
    """
    task = summary.task
    baseline = _BASELINE_METRICS.get(task)
    has_ratio = _knows_lowest_loss(summary)
    columns = ["split", *settings.values(), *summary.labels.values()]
    if baseline:
        columns.append(f"baseline {summary.labels[baseline]}")
    if has_ratio:
        columns.append(f"{_LOSS_LABELS[task]} / lowest")
    table = [columns]
    swept = {one.evaluation.split: one for one in summary.sweep.trainings} if summary.sweep else {}
    for evaluation in summary.evaluations:
        metrics = [
            format_with_error(value_of(evaluation, name), evaluation.errors.get(name))
            for name in summary.labels
        ]
        chosen = setting_cells(swept[evaluation.split].settings, settings) if settings else []
        line = [evaluation.split, *chosen, *metrics]
        if baseline:
            line.append(format_with_error(evaluation.baseline[baseline]))
        if has_ratio:
            line.append(format_with_error(evaluation.ratio_to_lowest_loss))
        table.append(line)
    return table


def _quality_notes(summary: TaskSummary) -> Iterator[str]:
    """Yield what the columns of ``_quality_table`` mean."""
    best, task = summary.best, summary.task
    if best is not None:
        metric = summary.main_metric
        value = format_with_error(value_of(best, metric), best.errors.get(metric))
        yield f"Best: {best.split}, with {summary.labels[metric]} {value}."
        if summary.sweep is not None and len(summary.evaluations) > 1:
            yield (
                f"It is the best of {len(summary.evaluations):,} trainings by these rows, and so "
                "looks better than it\n  is: judge it on rows that chose nothing."
            )
    spreads = {label: summary.over_folds(name) for name, label in summary.labels.items()}
    if shown := [f"{label} {format_with_error(*one)}" for label, one in spreads.items() if one]:
        yield (
            f"Over the folds: {', '.join(shown)}: mean and standard deviation. The folds share\n"
            "  most of their training rows, so this is no standard error."
        )
    if worse := summary.worse_than_baseline:
        verb = "is" if len(worse) == 1 else "are"
        yield f"{listed(worse, _MOST_SPLITS_NAMED)} {verb} {_ADVICE[task]}"
    yield _meaning_of_metrics(summary) + _note_on_targets(summary)
    if summary.resamples and task != "other":
        yield f"±: standard error, from {summary.resamples:,} resamples of the evaluation rows."
    if task in _BASELINE_METRICS:
        label = summary.labels[_BASELINE_METRICS[task]]
        yield f"baseline {label}: that of {_BASELINE_MODELS[task]}."
    if _knows_lowest_loss(summary):
        yield (
            f"{_LOSS_LABELS[task]} / lowest: divided by the lowest that any model can reach,\n"
            "  which is known for generated rows."
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
    return f"\n  Each is the mean over the {len(targets)} targets." if targets else ""


def _training_table(summary: Summary) -> Table:
    """Return the sizes of all trainings, and their speed and memory."""
    columns = ["split", "trained on", "evaluated on", "steps", "parameters"]
    columns += ["seconds", "rows/s", "peak MiB", "batch variance"]
    return [columns, *map(_training_line, summary.splits)]


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
        "trained on, evaluated on: numbers of rows. steps: optimizer steps. parameters: numbers\n"
        "  that were trained"
        + ("; -: counted by evaluations alone." if summary.not_evaluated else ".")
    )
    yield "seconds, rows/s, peak MiB: of the training, on the machine that it ran on."
    yield (
        "batch variance: the variance of a batch's mean, divided by that under a uniform\n"
        "  shuffle, if the rows were sorted by the target; 1 where all rows are mixed, or lie in\n"
        "  random order."
    )


def _resource_table(summary: Summary) -> Table:
    """Return the resources that the trainings requested and used as jobs."""
    columns = ["split", "requested MB", "used MB", "requested minutes", "used minutes"]
    return [columns, *map(_resource_line, summary.splits)]


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
        "requested, used: by the last try of the training as a job, the start of its processes\n"
        "  included. Used memory includes mapped pages of the data, which the system takes back\n"
        "  when memory runs short."
    )
    yield "-: not known, or no limit."


def _knows_lowest_loss(summary: TaskSummary) -> bool:
    return any(one.ratio_to_lowest_loss is not None for one in summary.evaluations)
