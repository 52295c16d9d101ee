"""Says what is not current, and why, before Snakemake lists its jobs.

Snakemake knows the jobs of the splits only after the recipes are made again, and so its list may be
too short. What is known of the splits before is said here; the rest is "perhaps".
"""

from collections.abc import Iterator

from memtrain.core.byte_sizes import format_bytes
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.recipes.recipe_facts import facts_of_recipe
from memtrain.workflow.judge import Judge
from memtrain.workflow.judgement import Judgement
from memtrain.workflow.leftovers import (
    no_longer_evaluated,
    unconfigured_splits,
    unconfigured_text,
)
from memtrain.workflow.today import Today

_MOST_LINES = 40


def forecast(today: Today, judge: Judge) -> list[str]:
    """Return lines for users on what is not current; none where all is, or nothing is there yet.

    Args:
        today: what results would be made from now.
        judge: judges the results.
    """
    if not today.results.source.exists() and not today.results.splits.exists():
        return []
    upstream = {
        today.makes_rows: judge.rows(),
        "index_shards": judge.manifest(),
        "resolve_splits": judge.recipes(),
    }
    lines = [_line(rule, one) for rule, one in upstream.items() if not one.is_current]
    is_certain = not lines
    for split in today.splits:
        lines += _lines_of_split(today, judge, split, is_certain)
    if is_certain:
        lines += _lines_of_predictions(today, judge)
    if is_certain and not lines and not (summary := judge.summary()).is_current:
        lines.append(_line("summarize", summary))
    hidden = len(lines) - _MOST_LINES
    if hidden > 0:
        lines[_MOST_LINES:] = [f"and {hidden:,} more"]
    if lines:
        lines = ["Not current:", *(f"  {line}" for line in lines)]
        if not is_certain:
            lines.append(
                "  Perhaps more: whether other splits have other rows is known after "
                "resolve_splits."
            )
    return [*lines, *_notes(today, judge)]


def _lines_of_split(today: Today, judge: Judge, split: str, is_certain: bool) -> Iterator[str]:
    files = today.results.split(split)
    if changed := changed_settings(today, split):
        yield f"train {split}: settings changed ({listed(changed)})"
    elif not files.recipe.exists() and not files.model.exists():
        if is_certain:
            yield f"train {split}: never trained"
        else:
            yield f"train {split}: new"
    elif not (training := judge.training(split)).is_current:
        yield _line(f"train {split}", training)
    elif stale := [
        one for one in today.configuration.bases_of(split) if _trains(today, judge, one)
    ]:
        yield f"train {split}: perhaps, when the model of {stale[0]} is there, which it comes from"
    elif is_certain and split in today.evaluated_splits:
        for rule, judgement in (
            ("evaluate", judge.evaluation(split)),
            ("draw", judge.figures(split)),
        ):
            if not judgement.is_current:
                yield _line(f"{rule} {split}", judgement)
                return


def _lines_of_predictions(today: Today, judge: Judge) -> Iterator[str]:
    for name in today.configuration.predictions:
        if not today.results.prediction(name).made_from.exists():
            yield f"predict {name}: new"
        elif not (judgement := judge.prediction(name)).is_current:
            yield _line(f"predict {name}", judgement)


def _trains(today: Today, judge: Judge, split: str) -> bool:
    """Return whether a split is known to be trained in this call."""
    return bool(changed_settings(today, split)) or not judge.training(split).is_current


def changed_settings(today: Today, split: str) -> list[str]:
    """Return the settings of a training that are not those of its recipe, "key: old -> new"."""
    try:
        before = facts_of_recipe(today.results.split(split).recipe).settings
    except UserError:
        return []
    if before is None:
        return []
    now = today.configuration.training_settings(split).model_dump(mode="json")
    return [
        f"{key}: {before.get(key)} -> {now.get(key)}"
        for key in now | before
        if before.get(key) != now.get(key)
    ]


def _notes(today: Today, judge: Judge) -> Iterator[str]:
    yield from _notes_on_results(today, judge)
    others = unconfigured_splits(today.results, today.splits)
    if others:
        yield unconfigured_text(others)
    if left := no_longer_evaluated(today.results, today.splits, today.evaluated_splits):
        yield (
            f"No longer evaluated: {listed(left)}. What their evaluations wrote is kept; `python "
            "scripts/clean.py` removes it."
        )
    if unread := today.known.unread:
        is_one = len(unread) == 1
        yield (
            f"Not read: {listed(unread, 5)} ({format_bytes(sum(unread.values()))}). "
            + (
                "Its times have changed; whether its content has"
                if is_one
                else "Their times have changed; whether their content has"
            )
            + " is known when snakemake runs."
        )


def _notes_on_results(today: Today, judge: Judge) -> Iterator[str]:
    """Yield what is told of results that stand, results with the same note together."""
    results: dict[str, list[str]] = {}
    for split in today.splits:
        judgements = {"train": judge.training(split)}
        if split in today.evaluated_splits:
            judgements["evaluate"] = judge.evaluation(split)
        for rule, judgement in judgements.items():
            for note in judgement.notes if judgement.is_current else ():
                results.setdefault(note, []).append(f"{rule} {split}")
    for name in today.configuration.predictions:
        judgement = judge.prediction(name)
        for note in judgement.notes if judgement.is_current else ():
            results.setdefault(note, []).append(f"predict {name}")
    for note, names in results.items():
        yield f"Stands: {listed(names)}: {note}."


def _line(what: str, judgement: Judgement) -> str:
    shown = list(judgement.reasons[:5])
    more = len(judgement.reasons) - len(shown)
    return f"{what}: {'; '.join(shown)}" + (f"; and {more:,} more" if more else "")
