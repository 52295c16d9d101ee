"""What a call of the workflow would make, split by split: for the words of a dry run.

Snakemake lists the jobs of the splits only after the recipes are made again. Here, what is known of
every split before is said as certain, and the rest as "perhaps".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from memtrain.core.wording import listed
from memtrain.workflow.forecast import changed_settings
from memtrain.workflow.judge import Judge
from memtrain.workflow.today import Today
from memtrain.workflow.verdicts import Verdicts

#: Whether a job runs. "perhaps": that is known when the jobs before it have run.
Runs = Literal["yes", "perhaps", "no"]

#: What Verdicts calls results that were never made.
_NEW = "new"


@dataclass(frozen=True)
class PlannedSplit:
    """What would be made of a split.

    Attributes:
        name: its name.
        trains: whether its model would be trained.
        why: why it would; "" where it would not.
        evaluates: whether its model would be evaluated; "no" also for a split without rows for it.
        draws: whether its figures would be drawn.
    """

    name: str
    trains: Runs
    why: str
    evaluates: Runs
    draws: Runs


@dataclass(frozen=True)
class PlannedWork:
    """What a call of the workflow would make.

    Attributes:
        before: why the jobs before the trainings would run, by the rule.
        splits: all configured splits.
        summarizes: whether the summary would be made.
        predictions: the names of the predictions that would be made.
    """

    before: dict[str, str]
    splits: tuple[PlannedSplit, ...]
    summarizes: bool
    predictions: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be made."""
        return not any((*self.jobs("yes"), *self.jobs("perhaps")))

    def jobs(self, runs: Runs = "yes") -> Iterator[tuple[str, str | None]]:
        """Yield the rules, with their splits, of the jobs that run, or run perhaps."""
        if runs == "yes":
            yield from ((rule, None) for rule in self.before)
        for split in self.splits:
            for rule, one in (
                ("train", split.trains),
                ("evaluate", split.evaluates),
                ("draw", split.draws),
            ):
                if one == runs:
                    yield rule, split.name
        if runs == "yes":
            yield from (("predict", name) for name in self.predictions)
            if self.summarizes:
                yield "summarize", None


def planned_work(today: Today, judge: Judge, verdicts: Verdicts) -> PlannedWork:
    """Return what a call of the workflow would make.

    Args:
        today: what results would be made from now.
        judge: judges the results.
        verdicts: the verdicts on the results, with what the user asked for on the command line.
    """
    before = {}
    for rule in (today.makes_rows, "index_shards", "resolve_splits"):
        if (why := verdicts.why(rule)) is not None:
            before[rule] = _in_words(why)
    splits: dict[str, PlannedSplit] = {}
    for name in _bases_first(today):
        is_settled = (
            not before.keys() - {"resolve_splits"}
            and judge.recipe(name).is_current
            and all(splits[base].trains == "no" for base in today.configuration.bases_of(name))
        )
        splits[name] = _planned(today, verdicts, name, is_settled)
    ordered = tuple(splits[name] for name in today.splits)
    work = PlannedWork(before, ordered, summarizes=False)
    summarizes = verdicts.runs("summarize") or any(split for _, split in work.jobs())
    trained = {split.name for split in ordered if split.trains == "yes"}
    predictions = tuple(
        name
        for name, one in today.configuration.predictions.items()
        if one.split in trained or verdicts.runs("predict", name)
    )
    return PlannedWork(before, ordered, summarizes, predictions)


def _bases_first(today: Today) -> list[str]:
    """Return all splits, each behind those whose models it starts from."""
    names = [
        one for split in today.splits for one in (*today.configuration.bases_of(split)[::-1], split)
    ]
    return list(dict.fromkeys(names))


def _planned(today: Today, verdicts: Verdicts, name: str, is_settled: bool) -> PlannedSplit:
    """Return what would be made of a split.

    Args:
        today: what results would be made from now.
        verdicts: the verdicts on the results.
        name: the split.
        is_settled: whether its rows, its recipe and the models before it stay as they are.
    """
    why = _why_trained(today, verdicts, name)
    trains: Runs = "yes" if why else "no"
    if not why and not is_settled:
        trains, why = "perhaps", "whether rows or settings changed is known after the recipes"
    evaluates: Runs = "no"
    draws: Runs = "no"
    if name in today.evaluated_splits:
        evaluates = _follows(trains, verdicts.runs("evaluate", name))
        draws = _follows(evaluates, verdicts.runs("draw", name))
    return PlannedSplit(name, trains, why, evaluates, draws)


def _why_trained(today: Today, verdicts: Verdicts, name: str) -> str:
    if changed := changed_settings(today, name):
        return f"its settings changed: {listed(changed)}"
    files = today.results.split(name)
    if not files.recipe.exists() and not files.model.exists():
        return "no model yet"
    why = verdicts.why("train", name)
    return "" if why is None else _in_words(why, "no model yet")


def _follows(above: Runs, runs_itself: bool) -> Runs:
    return "yes" if runs_itself else above


def _in_words(why: str, new: str = "none yet") -> str:
    return new if why == _NEW else why
