"""What the summary says of a sweep: each combination of settings, over its seeds and folds."""

from collections.abc import Iterator, Mapping
from typing import Any

from memtrain.config.sweep import SweepSettings
from memtrain.config.sweep_names import text_of_value
from memtrain.core.number_format import format_with_error
from memtrain.core.text_table import Table
from memtrain.core.wording import counted
from memtrain.reporting.document import Bullets, Grid, Heading, Part
from memtrain.reporting.sweep_results import SEED_KEY, SweepResults, TriedSettings

#: Most characters of a setting in a table.
_LONGEST_VALUE = 30


def draws_left_out_text(sweep: SweepSettings) -> str:
    """Return a sentence about random draws that came up before."""
    assert sweep.random is not None
    return (
        f"{sweep.draws_left_out:,} of {counted(sweep.random.draws, 'random draw')} came up before, "
        "and made no training of their own."
    )


def means_over_seeds(
    results: SweepResults, metrics: Mapping[str, str], labels: Mapping[str, str]
) -> list[Part]:
    """Return the parts of the summary that tell the means over seeds and folds.

    There are none where no two trainings have the same settings.

    Args:
        results: the trainings.
        metrics: what people call the metrics, by their names.
        labels: the labels of the settings that have columns, by their keys.
    """
    tried, metric = results.tried_settings(), metrics[results.metric]
    if all(len(one.values) == 1 for one in tried):
        return []
    shown = {key: label for key, label in labels.items() if key != SEED_KEY}
    return [
        Heading(f"Means of {metric} over seeds and folds"),
        Grid(_means_table(tried, shown, metric, has_groups=results.has_groups)),
        Bullets(tuple(_notes(results, tried))),
    ]


def _means_table(
    tried: list[TriedSettings], labels: Mapping[str, str], metric: str, *, has_groups: bool
) -> Table:
    """Return a line for each combination, the best mean first.

    Args:
        tried: the combinations.
        labels: the labels of their settings, by keys.
        metric: what people call the metric.
        has_groups: whether they belong to more than one split.
    """
    # Without a split or a setting, the lines would have no name.
    of_splits = ["of"] if has_groups or not labels else []
    numbers = [f"mean {metric}", "deviation", "trainings"]
    table = [[*of_splits, *labels.values(), *numbers]]
    for one in tried:
        name = [one.group] if of_splits else []
        mean, deviation = format_with_error(one.mean), format_with_error(one.deviation)
        cells = [setting_cell(one.settings.get(key)) for key in labels]
        table.append([*name, *cells, mean, deviation, f"{len(one.values):,}"])
    return table


def _notes(results: SweepResults, tried: list[TriedSettings]) -> Iterator[str]:
    direction = "less" if results.less_is_better else "more"
    yield (
        f"{counted(len(tried), 'combination')}, the best mean first ({direction} is better). "
        "deviation: the standard deviation between trainings that differ in seed or fold alone "
        "(divided by n - 1). Folds share most of their training rows, so this leads to no "
        "standard error."
    )
    if any(one.mean is None for one in tried):
        yield "-: not defined, or not for all of these trainings."


def setting_cell(value: Any) -> str:
    """Return a setting in one line that no table is broken by; "-" where there is none."""
    if value is None:
        return "-"
    text = " ".join(text_of_value(value).split()).replace("|", "\\|")
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
