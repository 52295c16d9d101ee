"""How long jobs would take, by how long they took before.

A training is expected to pass its rows as fast as its last run did, or that of a split with the
same model and batches. Where there is none, the dry run of its step in the recipe tells its
operations. Other jobs are expected to take as long as they took last time, of whatever split.
"""

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from memtrain.config.results import split_benchmark
from memtrain.core.errors import UserError
from memtrain.core.ranges import count_rows
from memtrain.recipes.recipe_facts import Workload, facts_of_recipe
from memtrain.system import canonical_json
from memtrain.system.file_content import read_bytes
from memtrain.workflow.job_resources import seconds_of_training
from memtrain.workflow.today import Today

#: Seconds from the start of a training's program to its first step, and from its last to its end.
SECONDS_OF_A_START = 4.0

#: What an expectation is based on.
Basis = Literal["last training", "other training", "dry run", "last job"]

#: Settings that the speed of a training depends on most.
_SETTINGS_OF_SPEED = ("model", "batch_size", "accumulation_steps", "device", "threads")


@dataclass(frozen=True)
class Expected:
    """How long a job would take.

    Attributes:
        seconds: seconds; None where nothing is known.
        basis: what they are based on; None where nothing is known.
        is_limit: whether it may end sooner, since it stops when it gets no better.
    """

    seconds: float | None
    basis: Basis | None = None
    is_limit: bool = False


class ExpectedSeconds:
    """Answers how long jobs would take.

    Args:
        today: where the results lie, and the configuration.
    """

    def __init__(self, today: Today):
        self._today = today
        self._speed = cache(self._rows_per_second)
        self._like = cache(self._settings_of_speed)
        self._mean_speed = cache(self._speed_of_trainings_like)
        self._mean_seconds = cache(self._mean_seconds_of_jobs)

    @cached_property
    def threads(self) -> int:
        """The most threads of a training, by which the cores are divided."""
        settings = self._today.configuration.training_settings
        return max((settings(split).threads for split in self._today.splits), default=1)

    def of_job(self, rule: str, split: str | None) -> Expected:
        """Return how long a job would take."""
        if rule == "train" and split is not None:
            return self._of_training(split)
        own = _seconds_of_benchmark(self._benchmark(rule, split))
        if own is None and split is not None:
            own = self._mean_seconds(rule)
        return Expected(own, None if own is None else "last job")

    def _mean_seconds_of_jobs(self, rule: str) -> float | None:
        """Return how long the last jobs of a rule took on the average, of all splits."""
        paths = (self._benchmark(rule, name) for name in self._today.splits)
        return _mean(map(_seconds_of_benchmark, paths))

    def _of_training(self, split: str) -> Expected:
        settings = self._today.configuration.training_settings(split)
        is_limit = settings.early_stopping is not None
        workload = self._workload(split)
        rows = workload.training_rows if workload else self._configured_rows(split)
        basis: Basis = "other training" if self._speed(split) is None else "last training"
        speed = self._speed(split) or self._mean_speed(self._like(split))
        if rows is not None and speed is not None:
            seconds = rows * settings.epochs / speed + SECONDS_OF_A_START
            return Expected(seconds, basis, is_limit)
        if workload is None:
            return Expected(None)
        seconds = seconds_of_training(replace(workload, epochs=settings.epochs))
        return Expected(seconds + SECONDS_OF_A_START, "dry run", is_limit)

    def _workload(self, split: str) -> Workload | None:
        try:
            return facts_of_recipe(self._today.results.split(split).recipe).workload
        except UserError:
            return None

    def _configured_rows(self, split: str) -> int | None:
        """Return the training rows of a split without a recipe, if the rows are there."""
        try:
            content = canonical_json.read(self._today.results.manifest, made_by="index_shards")
            rows = int(content["file"]["rows"])
            return count_rows(self._today.configuration.resolve_ranges(split, rows).train)
        except (UserError, KeyError, TypeError, ValueError):
            return None

    def _rows_per_second(self, split: str) -> float | None:
        """Return how fast the last training of a split was."""
        try:
            path = self._today.results.split(split).performance
            speed = canonical_json.read(path, made_by="train")["rows_per_second"]
        except (UserError, KeyError, TypeError):
            return None
        return speed if isinstance(speed, int | float) and speed > 0 else None

    def _speed_of_trainings_like(self, like: str) -> float | None:
        """Return the mean speed of the trainings with some settings."""
        alike = (name for name in self._today.splits if self._like(name) == like)
        return _mean(map(self._speed, alike))

    def _settings_of_speed(self, split: str) -> str:
        """Return the settings on which the speed of a training depends most, as JSON."""
        settings = self._today.configuration.training_settings(split).model_dump(mode="json")
        return canonical_json.dumps([settings.get(name) for name in _SETTINGS_OF_SPEED])

    def _benchmark(self, rule: str, split: str | None) -> Path:
        folder = self._today.results.benchmarks
        return folder / f"{rule}.jsonl" if split is None else split_benchmark(folder, rule, split)


def seconds_on_cores(chains: Iterable[Sequence[float]], at_a_time: int) -> float:
    """Return how long chains of jobs take of which some run at a time, the longest first.

    Args:
        chains: seconds of jobs that follow each other.
        at_a_time: how many chains run at a time.
    """
    ends = [0.0] * max(1, at_a_time)
    for seconds in sorted(map(sum, chains), reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + seconds)
    return max(ends)


def _mean(numbers: Iterable[float | None]) -> float | None:
    """Return the mean of the numbers that are known; None where none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else None


def _seconds_of_benchmark(path: Path) -> float | None:
    """Return the seconds that a job took last, as Snakemake noted them."""
    try:
        seconds = json.loads(read_bytes(path).splitlines()[-1])["s"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return seconds if isinstance(seconds, int | float) and seconds >= 0 else None


def chains_of_splits(jobs: Iterable[tuple[str, str | None]]) -> Iterator[list[tuple[str, str]]]:
    """Yield the jobs of each split, which follow each other."""
    chains: dict[str, list[tuple[str, str]]] = {}
    for rule, split in jobs:
        if split is not None:
            chains.setdefault(split, []).append((rule, split))
    yield from chains.values()
