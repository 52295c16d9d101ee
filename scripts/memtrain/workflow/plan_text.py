"""Says in words what a call of the workflow would make, why, and about how long it takes."""

from collections.abc import Iterable, Iterator

from memtrain.core.wording import counted, listed
from memtrain.workflow.expected_seconds import (
    Basis,
    Expected,
    ExpectedSeconds,
    chains_of_splits,
    seconds_on_cores,
)
from memtrain.workflow.planned_work import PlannedSplit, PlannedWork, Runs

_MOST_NAMES = 8
_MOST_REASONS = 10
_LONGEST_REASON = 160

#: What the jobs before the trainings make.
_MAKES = {
    "generate_data": "the rows",
    "import_data": "the rows",
    "describe_files": "the description of the rows",
    "index_shards": "the manifest",
    "resolve_splits": "the recipes",
}

_BASES: dict[Basis, str] = {
    "last training": "trainings by the rows/s of their last runs",
    "other training": "trainings by the rows/s of others like them",
    "dry run": "trainings by the dry run of their step, which is a guess before the first one",
    "last job": "other jobs by how long they took before",
}


def plan_lines(work: PlannedWork, expected: ExpectedSeconds, cores: int | None) -> list[str]:
    """Return lines that say what would be made; none where nothing of it is known to be.

    Args:
        work: what would be made.
        expected: answers how long jobs would take.
        cores: how many cores there are; None for a cluster.
    """
    if work.is_empty:
        return []
    lines = [*_before(work), *_trainings(work), *_after(work), *_current(work)]
    return ["In words, this would be made:", *_indented([*lines, *_times(work, expected, cores)])]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _before(work: PlannedWork) -> Iterator[str]:
    parts = [f"{_MAKES[rule]} ({_short(why)})" for rule, why in work.before.items()]
    if parts:
        yield f"first {_joined(parts)}"


def _trainings(work: PlannedWork) -> Iterator[str]:
    sure = [split for split in work.splits if split.trains == "yes"]
    perhaps = [split for split in work.splits if split.trains == "perhaps"]
    if sure:
        yield f"{counted(len(sure), 'training')}: {_named_with_reasons(sure)}"
    if perhaps:
        yield f"perhaps {counted(len(perhaps), 'more training' if sure else 'training')}: " + (
            _named_with_reasons(perhaps)
        )


def _named_with_reasons(splits: Iterable[PlannedSplit]) -> str:
    """Return names of splits, those with the same reason together."""
    names: dict[str, list[str]] = {}
    for split in splits:
        names.setdefault(split.why, []).append(split.name)
    parts = [f"{listed(group, _MOST_NAMES)} ({_short(why)})" for why, group in names.items()]
    return listed(parts, _MOST_REASONS)


def _after(work: PlannedWork) -> Iterator[str]:
    evaluated, drawn = _names(work, "evaluate"), _names(work, "draw")
    parts = []
    if evaluated:
        parts.append(counted(len(evaluated), "evaluation"))
    if drawn:
        parts.append(_figures(evaluated, drawn))
    if work.predictions:
        parts.append(f"predictions ({listed(work.predictions, _MOST_NAMES)})")
    if work.summarizes:
        parts.append("the summary")
    if parts:
        yield f"then {_joined(parts)}"


def _figures(evaluated: list[str], drawn: list[str]) -> str:
    if evaluated != drawn:
        return f"the figures of {listed(drawn, _MOST_NAMES)}"
    return "its figures" if len(drawn) == 1 else "their figures"


def _current(work: PlannedWork) -> Iterator[str]:
    kept = [split.name for split in work.splits if split.trains == "no"]
    if kept:
        evaluated = [split for split in work.splits if split.trains == split.evaluates == "no"]
        what = counted(len(kept), "training")
        if len(evaluated) == len(kept):
            what += " with what was made of " + ("it" if len(kept) == 1 else "them")
        yield f"current, and kept: {what} ({listed(kept, _MOST_NAMES)})"


def _names(work: PlannedWork, rule: str, runs: Runs = "yes") -> list[str]:
    return [split for name, split in work.jobs(runs) if name == rule and split is not None]


def _times(work: PlannedWork, expected: ExpectedSeconds, cores: int | None) -> Iterator[str]:
    """Yield what is known of the time."""
    times = {job: expected.of_job(*job) for job in work.jobs()}
    known = {job: one.seconds for job, one in times.items() if one.seconds is not None}
    unknown = [split for rule, split in times if rule == "train" and (rule, split) not in known]
    is_known = not unknown or any(rule == "train" for rule, _ in known)
    if is_known:
        chains = [[known.get(job, 0.0) for job in chain] for chain in chains_of_splits(times)]
        alone = sum(seconds for (_, split), seconds in known.items() if split is None)
        seconds = alone + seconds_on_cores(chains, (cores or 1) // expected.threads)
        limit = "at most " if any(one.is_limit for one in times.values()) else ""
        where = f"on {counted(cores, 'core')}" if cores else "one after the other"
        yield f"{limit}about {in_words(seconds)} {where} ({_based_on(times.values())})"
    if unknown:
        names = listed((f"'{name}'" for name in unknown), _MOST_NAMES)
        yield (
            f"how long {names} {'takes' if len(unknown) == 1 else 'take'} is not known: nothing "
            "like it ran here, and there is no recipe yet. `--until resolve_splits` makes it, and "
            "tries out the training step; then ask again"
        )
    other = sorted({rule for rule, split in times if (rule, split) not in known} - {"train"})
    if is_known and other:
        yield f"not counted, since none ran here before: {listed(other)}"
    perhaps = [expected.of_job(*job).seconds or 0.0 for job in work.jobs("perhaps")]
    if perhaps:
        yield f"and, if all runs that is perhaps, {in_words(sum(perhaps))} of computing more"


def _based_on(times: Iterable[Expected]) -> str:
    used = dict.fromkeys(one.basis for one in times if one.basis is not None)
    return "; ".join(text for basis, text in _BASES.items() if basis in used)


def in_words(seconds: float) -> str:
    """Return a rough time: "40 s", "3 min", "2 h", "5 days"."""
    for most, size, unit in ((100, 1, "s"), (100 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < most:
            return f"{max(1, round(seconds / size)):,} {unit}"
    return f"{round(seconds / 86400):,} days"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _short(why: str) -> str:
    return why if len(why) <= _LONGEST_REASON else f"{why[:_LONGEST_REASON]} ..."
