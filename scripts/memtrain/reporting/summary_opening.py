"""What the summary says first of a task: which model is best, how good it is, and what to mind."""

from collections.abc import Iterator

from memtrain.core.number_format import format_with_error
from memtrain.core.wording import counted, listed
from memtrain.evaluation.result import Confusion, Evaluation
from memtrain.recipes.recipe import TaskKind
from memtrain.reporting.summary import TaskSummary
from memtrain.reporting.sweep_results import value_of

#: Splits that a note names, at most.
_MOST_SPLITS_NAMED = 10

#: Pairs of classes that a note names, at most, and the characters of a class.
_MOST_CONFUSIONS = 3
_LONGEST_CLASS = 40

#: The metrics that people ask for first, for each task.
_FIRST_METRICS: dict[TaskKind, tuple[str, ...]] = {
    "regression": ("r2", "rmse"),
    "classification": ("accuracy", "cross_entropy"),
    "binary": ("accuracy", "cross_entropy"),
    "sequence": ("bits_per_element", "accuracy"),
    "other": ("loss",),
}

#: Of each task, how a model does that knows nothing but the training targets, metric by metric.
_BASELINES: dict[TaskKind, dict[str, str]] = {
    "regression": {"rmse": "always predicting the mean of the training targets has RMSE {}"},
    "classification": {
        "accuracy": "always saying the most frequent class of the training rows has accuracy {}",
        "cross_entropy": "the shares of the classes have cross entropy {}",
    },
    "binary": {
        "accuracy": "always saying the more frequent label of the training rows has accuracy {}",
        "cross_entropy": "the share of yes has cross entropy {}",
    },
    "sequence": {"bits_per_element": "a unigram model, which looks at no context, has {1} {0}"},
    "other": {},
}

#: What to try where a model is worse than its baseline, for each task.
_ADVICE: dict[TaskKind, str] = {
    "regression": (
        "worse than the mean of the training targets, so that its predictions are of no use. Try: "
        "features of one scale (`training.transform: standardize`), targets of one scale "
        "(`training.target: standardize`), another learning rate (`training.optimizer.lr`), more "
        "epochs; and look at the learning curve."
    ),
    "classification": (
        "worse than always saying the most frequent class. Try: features of one scale "
        "(`training.transform: standardize`), another learning rate (`training.optimizer.lr`), "
        "more epochs; and look at the learning curve."
    ),
    "sequence": (
        "worse than a unigram model, which looks at nothing that comes before. Try: another "
        "learning rate (`training.optimizer.lr`), a schedule with warmup, more epochs; and look at "
        "the learning curve."
    ),
}
_ADVICE["binary"] = _ADVICE["classification"]


def opening(summary: TaskSummary) -> Iterator[str]:
    """Yield the sentences on the best model of a task and its baseline; none without a best one."""
    best = summary.best
    if best is None:
        return
    first = [summary.main_metric, *_FIRST_METRICS[summary.task]]
    told = [one for one in dict.fromkeys(first) if value_of(best, one) is not None]
    *others, last = [f"{summary.labels[one]} {_value(best, one)}" for one in told]
    metrics = f"{', '.join(others)} and {last}" if others else last
    is_alone = len(summary.evaluations) == 1
    name = f"{best.split}:" if is_alone else f"Best: {best.split}, with"
    yield f"{name} {metrics} on {best.rows:,} evaluation rows."
    baselines = [
        text.format(format_with_error(best.baseline[one]), summary.labels[one])
        for one, text in _BASELINES[summary.task].items()
        if best.baseline.get(one) is not None
    ]
    if baselines:
        sentence = "; ".join(baselines)
        yield f"Baseline: {sentence}."


def warnings(summary: TaskSummary) -> Iterator[str]:
    """Yield what to mind when the metrics of a task are read."""
    best, task = summary.best, summary.task
    if best is not None and summary.sweep is not None and len(summary.evaluations) > 1:
        yield (
            f"{best.split} is the best of {len(summary.evaluations):,} trainings by these rows, "
            "and so looks better than it is: judge it on rows that had no part in the choice."
        )
    if folds := summary.folds_told:
        spreads = {label: summary.over_folds(name) for name, label in summary.labels.items()}
        shown = [f"{label} {format_with_error(*one)}" for label, one in spreads.items() if one]
        if shown:
            yield (
                f"Over {folds}: {', '.join(shown)}: mean and standard deviation. The folds share "
                "most of their training rows, so this is no standard error."
            )
    if worse := summary.worse_than_baseline:
        verb = "is" if len(worse) == 1 else "are"
        yield f"{listed(worse, _MOST_SPLITS_NAMED)} {verb} {_ADVICE[task]}"
    if best is not None:
        yield from _doubts(summary, best)
    if best is not None and best.confusions:
        pairs = ", ".join(map(_confusion_text, best.confusions[:_MOST_CONFUSIONS]))
        yield f"Confused most by {best.split}: {pairs}."


def _doubts(summary: TaskSummary, best: Evaluation) -> Iterator[str]:
    """Yield where the best model is no better than its baseline."""
    main = summary.main_metric
    known = best.baseline.get(main)
    if known is not None and value_of(best, main) == known:
        yield (
            f"{best.split} has the {summary.labels[main]} of the baseline, so that it has learned "
            "nothing that shows there; look at the learning curve."
        )
    entropy, shares = best.metrics.get("cross_entropy"), best.baseline.get("cross_entropy")
    if entropy is not None and shares is not None and entropy > shares and main == "accuracy":
        yield (
            f"The probabilities of {best.split} are worse than the shares of the classes (cross "
            f"entropy {format_with_error(entropy)}, against {format_with_error(shares)}): do not "
            "rely on them."
        )


def _confusion_text(pair: Confusion) -> str:
    true, predicted = _class_text(pair.true), _class_text(pair.predicted)
    return f"{true} taken for {predicted} ({counted(pair.rows, 'row')})"


def _class_text(name: str) -> str:
    """Return the word of a class in one short line; of a class without a word, its number."""
    text = f"class {name}" if name.isdecimal() else " ".join(name.split())
    return text if len(text) <= _LONGEST_CLASS else f"{text[: _LONGEST_CLASS - 1]}…"


def _value(evaluation: Evaluation, metric: str) -> str:
    return format_with_error(value_of(evaluation, metric), evaluation.errors.get(metric))
