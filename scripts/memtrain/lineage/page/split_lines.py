"""What the row strip shows of every split: its rows, and how good its model is."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtrain.config.results import SplitLayout
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError
from memtrain.core.number_format import format_with_error
from memtrain.recipes.recipe import Recipe
from memtrain.reporting.summary import SplitSummary
from memtrain.training.performance import Performance
from memtrain.workflow.unfinished_run import UnfinishedRun


@dataclass(frozen=True)
class SplitLine:
    """A line of the row strip.

    Attributes:
        name: the name of the split.
        train: the ranges of its training rows; empty where it has no recipe yet.
        evaluate: the ranges of its evaluation rows; empty where it has none, or no recipe yet.
        validate: the ranges of the rows that it is validated on while it trains.
        facts: values about its model as text, by labels for people; empty without a model.
        metric: the label of its main metric; None without an evaluation.
        value: the main metric, rounded to as many digits as its standard error allows; words where
            there are no rows to evaluate on; None without a model.
    """

    name: str
    train: list[tuple[int, int]] = field(default_factory=list)
    evaluate: list[tuple[int, int]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    metric: str | None = None
    value: str | None = None
    validate: list[tuple[int, int]] = field(default_factory=list)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges of all rows of the split."""
        return [*self.train, *self.validate, *self.evaluate]


def read_split_lines(
    configuration: Configuration,
    folder: str | os.PathLike,
    unfinished: UnfinishedRun | None = None,
) -> list[SplitLine]:
    """Return a line for every split of a configuration, also for those without a model.

    Args:
        configuration: the configuration that names the splits.
        folder: the folder that holds a folder for every split.
        unfinished: a run that has failed; None for none. Splits that it did not finish have rows
            alone, since what they had before is of another time.
    """
    lines = [_line(name, SplitLayout(Path(folder, name))) for name in configuration.split_names]
    if unfinished is None:
        return lines
    return [
        line if line.name in unfinished.finished else _unfinished_line(line, unfinished)
        for line in lines
    ]


def _unfinished_line(line: SplitLine, run: UnfinishedRun) -> SplitLine:
    failure = run.failure_of(line.name)
    facts = {"not finished": failure.text if failure else "the run ended before"}
    value = "failed" if failure else "not finished"
    return replace(line, facts=facts, metric=None, value=value)


def _line(name: str, files: SplitLayout) -> SplitLine:
    try:
        recipe = Recipe.read(files.recipe)
    except UserError:
        return SplitLine(name)
    train = recipe.training.rows.ranges
    validate = recipe.training.validation.ranges if recipe.training.validation else []
    evaluate = recipe.evaluation.rows.ranges if recipe.evaluation else []
    line = SplitLine(name, train, evaluate, validate=validate)
    try:
        split = SplitSummary.read(files)
    except UserError:
        return line
    initial = recipe.training.settings.initial
    start = {"starts from": initial.source} if initial else {}
    evaluation, facts = split.evaluation, start | _facts(split)
    if evaluation is None:
        return replace(line, facts=facts, value="not evaluated")
    label = evaluation.labels.get(evaluation.main_metric, evaluation.main_metric)
    return replace(line, facts=facts, metric=label, value=facts.get(label))


def _facts(split: SplitSummary) -> dict[str, str]:
    """Return values about a model as text, by labels for people."""
    evaluation = split.evaluation
    facts: dict[str, str] = {}
    if evaluation is not None:
        facts |= {
            label: format_with_error(evaluation.metrics[name], evaluation.errors[name])
            for name, label in evaluation.labels.items()
        }
        facts["loss"] = format_with_error(evaluation.loss)
    facts["rows trained on"] = f"{split.rows_trained:,}"
    facts["rows evaluated on"] = f"{evaluation.rows:,}" if evaluation else "none"
    facts["steps"] = f"{split.steps:,}"
    if evaluation is not None:
        facts["parameters"] = f"{evaluation.parameters:,}"
    return facts | _cost(split.performance)


def _cost(performance: Performance | None) -> dict[str, str]:
    """Return what a training cost; nothing where that is not known."""
    if performance is None:
        return {}
    return {
        "seconds of training": f"{performance.seconds:,.1f}",
        "rows/s": f"{performance.rows_per_second:,.0f}",
        "peak MiB": f"{performance.peak_memory_bytes / 2**20:,.0f}",
    }
