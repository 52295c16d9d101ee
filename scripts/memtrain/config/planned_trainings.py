"""Which trainings a configuration asks for: the splits and folds, crossed with the sweep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from memtrain.config.sweep import Combination, SweepSettings
from memtrain.config.sweep_names import labels_of_keys, name_of_training


@dataclass(frozen=True)
class PlannedTraining:
    """One training and its evaluation; everything but its name and its settings is the split's.

    Attributes:
        base: the name of the split or fold under `splits` or `folds`.
        settings: the settings that the sweep gives it, by their full keys; none without a sweep.
    """

    base: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def planned_trainings(
    bases: Sequence[str], sweep: SweepSettings | None
) -> dict[str, PlannedTraining]:
    """Return the trainings by their names, in the order of the configuration.

    Of a sweep with more than ``most_trainings``, which is refused, only so many are returned.

    Args:
        bases: the names of the splits and folds.
        sweep: the sweep; None for none.
    """
    if sweep is None:
        return {name: PlannedTraining(name) for name in bases}
    swept = bases if sweep.splits is None else sweep.splits
    planned = {name: PlannedTraining(name) for name in bases if name not in swept}
    taken = {name.lower() for name in planned}
    labels = labels_of_keys(sweep.keys)
    for base, settings in islice(_crossed(bases, swept, sweep), sweep.most_trainings):
        name = name_of_training(base, settings, labels, taken)
        taken.add(name.lower())
        planned[name] = PlannedTraining(base, settings)
    return planned


def _crossed(
    bases: Sequence[str], swept: Sequence[str], sweep: SweepSettings
) -> Iterator[tuple[str, Combination]]:
    for base in bases:
        if base in swept:
            for settings in sweep.combinations():
                yield base, settings
