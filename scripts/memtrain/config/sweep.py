"""The settings of a sweep: which trainings differ in what."""

import math
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import combinations, product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from memtrain.config.plain_values import read_arguments
from memtrain.config.sweep_distributions import Distribution, Values
from memtrain.config.types import FROM_TEXT, Name, Seed, Settings
from memtrain.config.validation import METRIC_MODES
from memtrain.core.wording import shown
from memtrain.system import canonical_json

#: The metrics of evaluations whose direction is known: whether less is better, or more.
KNOWN_MODES: dict[str, Literal["min", "max"]] = {
    **METRIC_MODES,
    **dict.fromkeys(("auroc", "average_precision"), "max"),
}

#: Settings of a training by their full keys, like {"training.optimizer.lr": 0.1}.
Combination = dict[str, Any]

_SETTING_KEY = re.compile(r"training(\.[A-Za-z_][A-Za-z0-9_]*)+")


def _check_key(key: str) -> str:
    if not _SETTING_KEY.fullmatch(key):
        raise ValueError(
            f"{shown(key)} is no key of a setting of `training`; write it in full, with dots, like "
            "training.optimizer.lr"
        )
    return key


SettingKey = Annotated[str, AfterValidator(_check_key)]


class RandomSettings(Settings):
    """Random draws of settings."""

    draws: Annotated[int, Field(ge=1, le=10_000), FROM_TEXT] = Field(
        description="Number of draws. More of them leave the earlier ones as they are."
    )
    seed: Seed = Field(default=0, description="Seed of the draws.")
    settings: Annotated[dict[SettingKey, Distribution], Field(min_length=1)] = Field(
        description="How each setting is drawn, by its full key: {training.optimizer.lr: "
        "{log_uniform: [1e-4, 1e-1]}}."
    )

    def combinations(self) -> Iterator[Combination]:
        """Yield the draws; those that come up again are left out."""
        seen: set[str] = set()
        for number in range(self.draws):
            drawn = {key: one.draw(self.seed, key, number) for key, one in self.settings.items()}
            text = canonical_json.dumps(drawn)
            if text not in seen:
                seen.add(text)
                yield drawn


def _check_distinct(values: list[Any]) -> list[Any]:
    """Raise an error where a value comes twice: its training would have the name of the other."""
    texts = [canonical_json.dumps(value) for value in values]
    twice = [value for number, value in enumerate(values) if texts[number] in texts[:number]]
    if twice:
        raise ValueError(f"{shown(twice[0])} comes twice; name it once")
    return values


_Distinct = AfterValidator(_check_distinct)
_Entry = Annotated[dict[SettingKey, Any], BeforeValidator(read_arguments)]


class SweepSettings(Settings):
    """Trainings that differ in their settings, in the place of one for each split or fold.

    What is given of `grid`, `list` and `random` is crossed with each other, and with the splits.
    """

    splits: Annotated[list[Name], Field(min_length=1), _Distinct] | None = Field(
        default=None,
        description="The splits and folds that are trained with each combination of settings; all "
        "where it is left out. Others are trained as they are.",
    )
    grid: dict[SettingKey, Annotated[Values, _Distinct]] = Field(
        default={},
        description="Values of settings by their full keys, all of which are combined: "
        "{training.optimizer.lr: [0.1, 0.01], training.seed: [0, 1, 2]}.",
    )
    list_: Annotated[list[_Entry], Field(min_length=1), _Distinct] | None = Field(
        default=None,
        alias="list",
        description="Combinations of settings, one by one: [{training.optimizer.name: SGD, "
        "training.optimizer.lr: 0.1}, {training.optimizer.lr: 0.001}]; {} is the split as it is.",
    )
    random: RandomSettings | None = Field(
        default=None, description="Random draws of settings: {draws: N, settings: {...}}."
    )
    metric: Name | None = Field(
        default=None,
        description="The metric of the evaluations by which the summary sorts the trainings: loss, "
        "or a metric as summary.csv names it; null for the first metric of the task.",
    )
    mode: Literal["min", "max"] | None = Field(
        default=None,
        description="Whether less (min) or more (max) of the metric is better; only needed for "
        "metrics of your own.",
    )
    most_trainings: Annotated[int, Field(ge=1, le=10_000), FROM_TEXT] = Field(
        default=200, description="The sweep is refused if it has more trainings than this."
    )

    @model_validator(mode="after")
    def _check_given(self) -> "SweepSettings":
        if not self.grid and self.list_ is None and self.random is None:
            raise ValueError("one of grid, list and random is needed, or several; found none")
        if self.mode is not None and self.metric is None:
            raise ValueError("mode says which values of `metric` are better; name the metric")
        return self

    @model_validator(mode="after")
    def _check_keys(self) -> "SweepSettings":
        groups = [set(self.grid), set(self.random.settings if self.random else ())]
        for entry in self.list_ or [{}]:
            keys = [key for group in (*groups, set(entry)) for key in sorted(group)]
            for one, other in combinations(sorted(keys), 2):
                if one == other:
                    raise ValueError(f"{one} is swept in two ways; name it once")
                if other.startswith(f"{one}."):
                    raise ValueError(
                        f"{other} is a part of {one}, which is swept, too; name one of them"
                    )
        return self

    @property
    def metric_mode(self) -> Literal["min", "max"] | None:
        """Whether less or more of the metric is better; None where no metric is named."""
        if self.metric in KNOWN_MODES:
            return KNOWN_MODES[self.metric]
        return self.mode

    @property
    def count(self) -> int:
        """The number of combinations; of random draws, those that come up again are counted."""
        draws = self.random.draws if self.random else 1
        return math.prod(map(len, self.grid.values())) * len(self.list_ or [{}]) * draws

    @cached_property
    def drawn(self) -> list[Combination]:
        """The random draws, each once; one without a setting where nothing is drawn."""
        return list(self.random.combinations()) if self.random else [{}]

    @property
    def draws_left_out(self) -> int:
        """The number of random draws that came up before."""
        return self.random.draws - len(self.drawn) if self.random else 0

    @property
    def keys(self) -> list[str]:
        """The full keys of the settings that are swept, in the order of the configuration."""
        of_list = [key for entry in self.list_ or [] for key in entry]
        of_random = self.random.settings if self.random else {}
        return list(dict.fromkeys([*of_list, *of_random, *self.grid]))

    @property
    def log_keys(self) -> set[str]:
        """The keys of settings that are drawn evenly by their logarithm."""
        drawn = self.random.settings.items() if self.random else ()
        return {key for key, one in drawn if one.log_uniform is not None}

    def combinations(self) -> Iterator[Combination]:
        """Yield the combinations; the last setting of the grid changes fastest."""
        for entry, draw in product(self.list_ or [{}], self.drawn):
            for values in product(*self.grid.values()):
                yield {**entry, **draw, **dict(zip(self.grid, values, strict=True))}
