"""Finds what is wrong with a sweep, before anything runs."""

from collections.abc import Iterator
from typing import Any

from memtrain.config.parsing import parse_settings
from memtrain.config.schema import Configuration
from memtrain.config.sweep import KNOWN_MODES, SweepSettings
from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import counted, did_you_mean, listed, shown
from memtrain.system import canonical_json

#: Most trainings that a message names.
_MOST_NAMED = 5


def sweep_problems(configuration: Configuration) -> Iterator[str]:
    """Yield the problems of a sweep: of its splits, its size, its settings, and its metric."""
    sweep = configuration.sweep
    if sweep is None:
        return
    bases = configuration.bases
    for name in sweep.splits or ():
        if name not in bases:
            yield (
                f"sweep.splits: there is no split {shown(name)}; the configuration has "
                f"{listed(bases)}.{did_you_mean(name, bases)}"
            )
    yield from _size_problems(sweep, len(sweep.splits or bases))
    yield from _settings_problems(configuration)
    yield from _metric_problems(sweep, configuration)


def _size_problems(sweep: SweepSettings, splits: int) -> Iterator[str]:
    count = sweep.count * splits
    if count > sweep.most_trainings:
        yield (
            f"sweep: {counted(sweep.count, 'combination')} of settings for "
            f"{counted(splits, 'split')} are {counted(count, 'training')}, more than "
            f"{sweep.most_trainings:,}. Sweep over less, or set `most_trainings: {count}`."
        )


def _settings_problems(configuration: Configuration) -> Iterator[str]:
    """Yield the problems of the trainings, each once with its trainings, and trainings alike."""
    trainings_by_problem: dict[str, list[str]] = {}
    first_by_settings: dict[str, str] = {}
    for name, planned in configuration.trainings.items():
        merged = configuration.merged_training_settings(name)
        try:
            settings = parse_settings(TrainingSettings, merged, "training")
        except UserError as error:
            # Those of a split as it is are told where that is read.
            for problem in error.problems if planned.settings else ():
                trainings_by_problem.setdefault(problem, []).append(name)
            continue
        meaning = _with_whole_numbers(settings.model_dump(mode="json"))
        content = canonical_json.dumps([planned.base, meaning])
        first = first_by_settings.setdefault(content, name)
        if first != name:
            yield (
                f"sweep: {first} and {name} are the same training, since their settings mean the "
                "same. Remove one of them."
            )
    for problem, names in trainings_by_problem.items():
        yield f"sweep: {problem} ({_trainings(names)})"


def _with_whole_numbers(value: Any) -> Any:
    """Return settings with whole numbers as integers: 1 and 1.0 mean the same."""
    if isinstance(value, dict):
        return {key: _with_whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _trainings(names: list[str]) -> str:
    noun = "training" if len(names) == 1 else "trainings"
    return f"{noun} {listed(names, _MOST_NAMED)}"


def _metric_problems(sweep: SweepSettings, configuration: Configuration) -> Iterator[str]:
    metric, own = sweep.metric, configuration.evaluation.metrics
    if metric is None:
        return
    known = [*KNOWN_MODES, *own]
    if metric not in known:
        yield (
            f"sweep.metric: found {metric}, which no evaluation has; known are {listed(known)}."
            f"{did_you_mean(metric, known)}"
        )
    elif metric in KNOWN_MODES and sweep.mode not in (None, KNOWN_MODES[metric]):
        yield (
            f"sweep.mode: found {sweep.mode}, but {metric} is better where it is "
            f"{'less' if KNOWN_MODES[metric] == 'min' else 'more'}. Remove `mode`."
        )
    elif metric in own and sweep.mode is None:
        yield (
            f"sweep.metric: {metric} is a metric of your own. Say with `mode` whether less of it "
            "is better (min), or more (max)."
        )
