"""What the row strip shows of every split: its rows, and how good its model is."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtrain.config.results import SplitLayout
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError
from memtrain.core.number_format import rounded
from memtrain.recipes.recipe import Recipe
from memtrain.reporting.summary import SplitSummary


@dataclass(frozen=True)
class SplitLine:
    """A split.

    Attributes:
        name: of the split.
        train, evaluate: ranges of its rows; empty where it has no recipe yet.
        facts: what is known of its model, by the name that people read; empty where it has none.
        metric, value: the main metric, rounded to what its standard error leaves of it.
    """

    name: str
    train: list[tuple[int, int]] = field(default_factory=list)
    evaluate: list[tuple[int, int]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    metric: str | None = None
    value: str | None = None


def read_split_lines(configuration: Configuration, folder: str | os.PathLike) -> list[SplitLine]:
    """Return every split of a configuration, as far as it has been made.

    Args:
        configuration: that names the splits.
        folder: with a folder for every split.
    """
    return [_line(name, SplitLayout(Path(folder, name))) for name in configuration.split_names]


def _line(name: str, files: SplitLayout) -> SplitLine:
    try:
        recipe = Recipe.read(files.recipe)
    except UserError:
        return SplitLine(name)
    rows = {"train": recipe.training.rows.ranges, "evaluate": recipe.evaluation.rows.ranges}
    try:
        return SplitLine(name, **rows, **_quality(SplitSummary.read(files)))
    except UserError:
        return SplitLine(name, **rows)


def _quality(split: SplitSummary) -> dict[str, Any]:
    evaluation = split.evaluation
    facts = {
        label: rounded(evaluation.metrics[name], evaluation.errors[name])
        for name, label in evaluation.labels.items()
    }
    facts |= {
        "loss": rounded(evaluation.loss),
        "rows trained on": f"{split.rows_trained:,}",
        "rows evaluated on": f"{evaluation.rows:,}",
        "steps": f"{evaluation.steps:,}",
        "parameters": f"{evaluation.parameters:,}",
        "seconds of training": f"{split.seconds:,.1f}",
        "rows/s": f"{split.rows_per_second:,.0f}",
        "peak MiB": f"{split.peak_memory_bytes / 2**20:,.0f}",
    }
    label = evaluation.labels.get(evaluation.main_metric, evaluation.main_metric)
    return {"facts": facts, "metric": label, "value": facts.get(label)}
