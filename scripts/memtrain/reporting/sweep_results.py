"""The trainings of a sweep: the settings in which they differ, their order, and their means."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtrain.config.sweep import SweepSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.evaluation.result import Evaluation
from memtrain.system import canonical_json

#: Trainings that differ in this alone are tries of the same settings.
SEED_KEY = "training.seed"

#: The training that another one starts from.
_BASE_KEY = "training.initial.split"


def flat_settings(settings: Mapping[str, Any], prefix: str = "training") -> dict[str, Any]:
    """Return settings by their full keys, like {"training.optimizer.lr": 0.1}.

    Those that are null are left out, since it makes no difference whether they are given.

    Args:
        settings: settings as nested mappings of JSON.
        prefix: the key of the mapping.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{prefix}.{name}"
        if isinstance(value, Mapping) and value:
            flat |= flat_settings(value, key)
        elif value is not None:
            flat[key] = value
    return flat


def with_configured_base(
    settings: Mapping[str, Any], configured: Mapping[str, str]
) -> dict[str, Any]:
    """Return settings that name the model that a training starts from as the configuration does.

    Each training of a sweep starts from the one with the same settings. Where these differ in the
    seed alone, the trainings are tries of the same settings all the same.

    Args:
        settings: settings by their full keys.
        configured: for each training of the sweep, its split under `splits`.
    """
    name = configured.get(str(settings.get(_BASE_KEY)))
    return dict(settings) | ({} if name is None else {_BASE_KEY: name})


def differing_keys(settings: Sequence[Mapping[str, Any]], swept: Sequence[str] = ()) -> list[str]:
    """Return the keys of settings that differ between trainings, those of the sweep first.

    Args:
        settings: the settings of each training, by full keys.
        swept: the keys of the sweep, in their order.
    """
    keys = list(dict.fromkeys(key for one in settings for key in one))
    differing = [
        key for key in keys if len({canonical_json.dumps(one.get(key)) for one in settings}) > 1
    ]

    def place(key: str) -> int:
        found = [n for n, one in enumerate(swept) if key == one or key.startswith(f"{one}.")]
        return found[0] if found else len(swept)

    return sorted(differing, key=place)


def value_of(evaluation: Evaluation, metric: str) -> float | None:
    """Return a metric of an evaluation, or its loss; None where it is not defined."""
    return evaluation.loss if metric == "loss" else evaluation.metrics.get(metric)


@dataclass(frozen=True)
class SweptTraining:
    """One evaluated training beside others with other settings.

    Attributes:
        group: the split that it belongs to; "folds" for a fold of a cross-validation.
        settings: the settings that differ between the trainings, by their full keys.
        evaluation: its evaluation.
    """

    group: str
    settings: Mapping[str, Any]
    evaluation: Evaluation


@dataclass(frozen=True)
class TriedSettings:
    """All trainings of the same settings, which differ in seeds and folds.

    Attributes:
        group: the split that they belong to; "folds" for the folds of a cross-validation.
        settings: the settings that differ from those of other trainings, without the seed.
        values: the metric of each training; None where it is not defined.
    """

    group: str
    settings: Mapping[str, Any]
    values: Sequence[float | None]

    @property
    def mean(self) -> float | None:
        """The mean of the metric; None where it is not defined for all trainings."""
        defined = self._defined
        return statistics.mean(defined) if defined else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a sample (divided by n - 1); None for less than two."""
        defined = self._defined
        return statistics.stdev(defined) if len(defined) > 1 else None

    @property
    def _defined(self) -> list[float]:
        found = [value for value in self.values if value is not None]
        return found if len(found) == len(self.values) else []


class SweepResults:
    """The evaluated trainings of a sweep, of one task.

    Args:
        trainings: the trainings, in the order of the configuration; at least one.
        sweep: the settings of the sweep.

    Attributes:
        trainings: the trainings, the best first, and those without the metric last.
        metric: the name of the metric by which they are compared.
        less_is_better: whether less of it is better.

    Raises:
        UserError: if the evaluations do not have the metric.
    """

    def __init__(self, trainings: Sequence[SweptTraining], sweep: SweepSettings):
        first = trainings[0].evaluation
        known = {"loss", *(name for one in trainings for name in one.evaluation.metrics)}
        self.metric = sweep.metric or first.main_metric
        if self.metric not in known:
            raise UserError(
                f"sweep.metric: found {self.metric}, which evaluations of {first.split} and its "
                f"like do not have; they have {listed(sorted(known))}."
            )
        self.less_is_better = first.less_is_better
        if sweep.metric is not None:
            self.less_is_better = sweep.metric_mode == "min"
        self.trainings = sorted(
            trainings, key=lambda one: self._rank(value_of(one.evaluation, self.metric))
        )

    @property
    def best(self) -> Evaluation | None:
        """The evaluation with the best metric; None where none has it."""
        best = self.trainings[0].evaluation
        return None if value_of(best, self.metric) is None else best

    @property
    def has_groups(self) -> bool:
        """Whether the trainings belong to more than one split."""
        return len({one.group for one in self.trainings}) > 1

    def tried_settings(self) -> list[TriedSettings]:
        """Return the settings with the metric of each of their trainings, the best mean first."""
        found: dict[str, list[SweptTraining]] = {}
        for one in self.trainings:
            settings = _without_seed(one.settings)
            found.setdefault(canonical_json.dumps([one.group, settings]), []).append(one)
        tried = [
            TriedSettings(
                same[0].group,
                _without_seed(same[0].settings),
                [value_of(one.evaluation, self.metric) for one in same],
            )
            for same in found.values()
        ]
        return sorted(tried, key=lambda one: self._rank(one.mean))

    def _rank(self, value: float | None) -> tuple[bool, float]:
        """Return what sorts the best value first, and a missing one last."""
        if value is None:
            return True, 0.0
        return False, value if self.less_is_better else -value


def _without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != SEED_KEY}
