"""The model card: what a model is, what made it, how good it is, and what it was not tested on.

It is Markdown with the metadata of the Hugging Face Hub at its head
(https://huggingface.co/docs/hub/model-cards). Nothing in it depends on the machine or the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from memtrain.core.number_format import format_with_error
from memtrain.core.ranges import Range, count_rows
from memtrain.core.wording import counted, listed
from memtrain.data.made_from import packages_text, versions_of_packages
from memtrain.evaluation.result import Evaluation
from memtrain.inference.export import PROGRAM_FILE, TOLERANCE, Comparison
from memtrain.recipes.recipe import Recipe

#: Most features that the table of the ranges lists.
_MOST_FEATURES = 40

#: The tasks of the Hub, for features in columns.
_HUB_TASKS = {
    "regression": "tabular-regression",
    "binary": "tabular-classification",
    "classification": "tabular-classification",
}


#: Metrics that the Hub knows by another name.
_HUB_METRICS = {"r2": "r_squared", "auroc": "roc_auc"}


@dataclass(frozen=True)
class CardFacts:
    """What a model card is written from.

    Attributes:
        recipe: the recipe of the split.
        evaluation: its evaluation; None where there is none.
        dataset: the name of the dataset; None where the folder of the split is a copy.
        model_digest: the digest of the weights.
        comparison: how far the exported program is from the model.
        license: the license that the user names; None for none.
    """

    recipe: Recipe
    evaluation: Evaluation | None
    dataset: str | None
    model_digest: str
    comparison: Comparison
    license: str | None = None


def model_card(facts: CardFacts) -> str:
    """Return the text of a model card."""
    head = yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {_name(facts)}",
        _introduction(facts),
        "## How to use it",
        _usage(facts),
        "## Data",
        "\n".join(_data(facts)),
        "## How good it is",
        "\n".join(_results(facts)),
        "## What it was not tested on",
        "\n".join(_untested(facts)),
        "## Settings",
        _settings(facts),
        "## How to make it again",
        _reproduction(facts),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def _name(facts: CardFacts) -> str:
    split = facts.recipe.split
    return f"{facts.dataset}: {split}" if facts.dataset else split


def _metadata(facts: CardFacts) -> dict[str, Any]:
    task = facts.evaluation.task if facts.evaluation else facts.recipe.training.task.kind
    training = facts.recipe.training
    flat = len(training.feature_shape) == 1 and not training.task.ragged
    of_hub = _HUB_TASKS.get(task) if flat else None
    found: dict[str, Any] = {"library_name": "memtrain"}
    if facts.license:
        found["license"] = facts.license
    if of_hub:
        found["pipeline_tag"] = of_hub
    found["tags"] = ["memtrain", "pytorch", task]
    metrics = _metric_entries(facts)
    if metrics:
        name = facts.dataset or facts.recipe.split
        result = {
            "task": {"type": of_hub or task},
            "dataset": {"name": name, "type": name},
            "metrics": metrics,
        }
        found["model-index"] = [{"name": _name(facts), "results": [result]}]
    return found


def _metric_entries(facts: CardFacts) -> list[dict[str, Any]]:
    one = facts.evaluation
    if one is None:
        return []
    return [
        {"type": _HUB_METRICS.get(name, name), "name": label, "value": one.metrics[name]}
        for name, label in one.labels.items()
        if one.metrics[name] is not None
    ]


def _introduction(facts: CardFacts) -> str:
    training = facts.recipe.training
    columns = [one.name for one in facts.recipe.inputs.columns] if facts.recipe.inputs else []
    what = "a class" if training.task.kind == "classification" else "numbers"
    if training.has_sequences or training.has_ragged_target:
        what = f"{what} for every element"
    targets = listed([str(name) for name in training.task.target], 5)
    features = listed(columns, 20) if columns else counted(training.in_features, "feature")
    if training.task.ragged:
        features = f"rows of any number of elements, each of {features}"
    return (
        f"Predicts {what} ({targets}) from {features}. Trained with memtrain on "
        f"{training.rows.count:,} rows; the digests below say on which, and by which recipe."
    )


def _usage(facts: CardFacts) -> str:
    found = facts.comparison
    call = "program(features)  # (rows, ...), as `input` in export.json says"
    if facts.recipe.training.task.ragged:
        call = (
            "program(features, lengths)  # (rows, longest, ...), padded with zeros, and (rows,), as"
            "\n# `input` in export.json says"
        )
    return f"""\
`{PROGRAM_FILE}` is a program of `torch.export`; it needs PyTorch alone. Missing values are filled,
features scaled and predictions brought into the unit of the target inside of it:

```python
import torch

program = torch.export.load("{PROGRAM_FILE}").module()
predictions = {call}
```

`export.json` says how the features are called and ordered, how words and times become numbers, and
what the predictions are. On {found.rows}, the program and the model differ
by at most {found.largest_difference:.3g}, where predictions are up to
{found.largest_prediction:.6g} (refused above {TOLERANCE:g} of that). With `memtrain.load_model` on
the folder of the split, the model takes tables of raw columns."""


def _data(facts: CardFacts) -> Iterator[str]:
    recipe = facts.recipe
    yield "| use | rows | ranges |"
    yield "|---|---:|---|"
    uses = {"training": recipe.training.rows, "validation": recipe.training.validation}
    uses["evaluation"] = recipe.evaluation.rows if recipe.evaluation else None
    for use, rows in uses.items():
        if rows is not None:
            ranges = [Range(*pair) for pair in rows.ranges]
            yield f"| {use} | {rows.count:,} | {listed(map(str, ranges), 8)} |"
    yield ""
    for what, digest in recipe.made_from.items():
        yield f"- {what}: `{digest}`"
    shards = counted(len(recipe.shards), "shard")
    yield f"- {shards} of {recipe.rows_per_shard:,} rows; their digests stand in split.json"


def _results(facts: CardFacts) -> Iterator[str]:
    one = facts.evaluation
    if one is None:
        yield "It was not evaluated: nothing tells how good it is on other rows."
        return
    yield f"On {one.rows:,} evaluation rows; ±: standard errors from resamples of these rows."
    yield ""
    yield "| metric | value | baseline |"
    yield "|---|---:|---:|"
    for name, label in one.labels.items():
        value = format_with_error(one.metrics[name], one.errors[name])
        baseline = one.baseline.get(name)
        shown = "-" if baseline is None else format_with_error(baseline)
        yield f"| {label} | {value} | {shown} |"
    yield ""
    yield "The baseline always predicts the mean of the training targets, or the shares of their"
    yield "classes."
    if one.is_worse_than_baseline:
        yield ""
        yield "**It is worse than the baseline.**"


def _untested(facts: CardFacts) -> Iterator[str]:
    recipe, one = facts.recipe, facts.evaluation
    if one is None:
        yield "- Everything: no row was held out to evaluate it on."
    else:
        yield "- Rows of other sources, and rows of a later time than those of the data file."
    if recipe.withdrawn:
        count = count_rows(Range(*pair) for pair in recipe.withdrawn)
        yield f"- {counted(count, 'withdrawn row')}, which it was neither trained nor evaluated on."
    for column, count in recipe.unknown_words.items():
        yield f"- Words of {column} that no training row had: {counted(count, 'evaluation row')}."
    for name in _classes_without_rows(facts):
        yield f"- The class {name}: no evaluation row has it."
    yield "- Features outside of the ranges of the training rows:"
    statistics = recipe.training.statistics_of("features")
    names = recipe.training.task.features
    if len(names) == len(statistics.minimum) <= _MOST_FEATURES:
        for name, least, most in zip(names, statistics.minimum, statistics.maximum, strict=True):
            yield f"  - {name}: {least:.6g} to {most:.6g}"
    else:
        least, most = statistics.minimum.min(), statistics.maximum.max()
        yield f"  - all of them together: {least:.6g} to {most:.6g}"


def _classes_without_rows(facts: CardFacts) -> list[str]:
    one = facts.evaluation
    return [str(found.name) for found in (one.per_class if one else None) or [] if not found.rows]


def _settings(facts: CardFacts) -> str:
    settings = facts.recipe.training.settings.model_dump(
        mode="json", exclude_defaults=True, by_alias=True
    )
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True) if settings else "{}\n"
    return f"What differs from the defaults:\n\n```yaml\n{text}```"


def _reproduction(facts: CardFacts) -> str:
    recipe = facts.recipe
    return f"""\
With the same data file, the same code and {packages_text(versions_of_packages())},
`snakemake` on the configuration of the dataset makes the same bytes:

- model: `{facts.model_digest}`
- recipe of the training: `{recipe.digest("training")}`"""
