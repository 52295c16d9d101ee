"""Looks at arrays where they lie, and proposes a configuration that reads them there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memtrain.config.files import FilesSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.data.files_description import describe_files
from memtrain.frontdoor.amounts import amounts_for
from memtrain.frontdoor.array_choice import ArrayChoice, choose_arrays, named_arrays
from memtrain.frontdoor.array_files import ArrayGroup, array_groups
from memtrain.frontdoor.array_rows import ArrayFacts, facts_of_rows
from memtrain.frontdoor.proposal import dataset_name, one_range, proposed_training
from memtrain.frontdoor.setting import Setting
from memtrain.frontdoor.task import MOST_CLASSES, ROWS_PER_CLASS

#: Parts of the files that are each trained and evaluated on, where the target drifts along them.
_STRIPES = 10


@dataclass(frozen=True)
class ArrayPlan:
    """What is decided about arrays where they lie.

    Attributes:
        name: the name of the dataset.
        choice: what becomes of the arrays.
        facts: what stands in the rows.
        is_class: whether the target is a class; otherwise a number.
        is_said: whether `task` has to say so, since the type of the target says otherwise.
        why: why it is taken for that.
    """

    name: str
    choice: ArrayChoice
    facts: ArrayFacts
    is_class: bool
    is_said: bool
    why: str


def plan_arrays(paths: Sequence[str], target: str | None, task: str | None) -> ArrayPlan | str:
    """Return what is decided about arrays; without a target, which there are.

    Args:
        paths: files, folders, patterns.
        target: the field that is learned; None to list them.
        task: "regression" or "classification"; None to decide by what stands in the target.

    Raises:
        UserError: where the files cannot be read, or a model cannot learn the target.
    """
    groups = array_groups(paths)
    names = named_arrays(groups)
    if target is None:
        return _names_text(groups, names, paths)
    choice = choose_arrays(groups, target)
    settings = FilesSettings.model_validate(choice.settings)
    layout, _ = describe_files(settings)
    dtype = layout.fields["target"]
    facts = facts_of_rows(layout, dtype.base.kind in "iub" and dtype.shape in ((), (1,)))
    is_class, why = _task(dtype, facts, task)
    is_said = not is_class and dtype.base.kind in "iub"
    return ArrayPlan(dataset_name(paths[0]), choice, facts, is_class, is_said, why)


def proposed_array_settings(plan: ArrayPlan) -> list[Setting]:
    """Return the settings that are proposed for arrays where they lie."""
    files = tuple(_files(plan))
    name = Setting("name", plan.name)
    rows = plan.facts.rows
    impute = [Setting("impute", "mean", "missing numbers: the mean of the training rows")]
    training = proposed_training(
        amounts_for(rows), rows, plan.is_class, impute if plan.facts.has_missing else ()
    )
    return [
        Setting("dataset", (name, Setting("files", files, "read where they lie: no copy is made"))),
        Setting("splits", (_split(plan.facts),)),
        Setting("training", tuple(training)),
    ]


def _files(plan: ArrayPlan) -> Iterator[Setting]:
    left_out = "; ".join(f"{name} ({why})" for name, why in plan.choice.left_out.items())
    reasons = {
        "features": f"left out: {left_out}" if left_out else "",
        "target": plan.why,
        "fields": "side by side: row i has value i of each"
        if not left_out
        else f"without {left_out}",
    }
    for key, value in plan.choice.settings.items():
        if key == "fields":
            fields = tuple(
                Setting(name, one, plan.why if one.get("target") else "")
                for name, one in value.items()
            )
            yield Setting(key, fields, reasons[key])
        else:
            yield Setting(key, value, reasons.get(key, ""))
    if plan.is_said:
        yield Setting("task", "regression", "without it, whole numbers are classes")


def _split(facts: ArrayFacts) -> Setting:
    if not facts.drifts:
        return one_range("the rows of `evaluate` decide nothing, so that the result can be trusted")
    size = 100 // _STRIPES
    parts = ((0, 80), (80, 90), (90, 100))
    uses = ("train", "validate", "evaluate")
    ranges: dict[str, Any] = {
        use: [
            [_percent(size * (stripe + start / 100)), _percent(size * (stripe + end / 100))]
            for stripe in range(_STRIPES)
        ]
        for use, (start, end) in zip(uses, parts, strict=True)
    }
    settings = tuple(Setting(use, ranges[use]) for use in uses)
    why = (
        f"the target differs along the files, so that each of {_STRIPES} parts is trained and "
        "evaluated on; rows that come later are not predicted by this"
    )
    return Setting("all", settings, why)


def _percent(value: float) -> int | str:
    return f"{value:g}%" if value else 0


def _task(dtype: np.dtype, facts: ArrayFacts, wanted: str | None) -> tuple[bool, str]:
    """Return whether the target is a class, and why.

    Raises:
        UserError: where what is wanted does not fit.
    """
    if dtype.base.kind not in "iub" or dtype.shape not in ((), (1,)):
        if wanted == "classification":
            raise UserError(
                f"--task classification: the target is {dtype.base}, and classes are whole "
                "numbers, one a row. Leave out --task, or save the target as integers."
            )
        return False, "a number" if dtype.shape in ((), (1,)) else "several numbers a row"
    few = facts.target_values <= min(MOST_CLASSES, facts.looked_at / ROWS_PER_CLASS)
    if wanted == "classification" or (wanted is None and (few or dtype.base.kind == "b")):
        if facts.least_target < 0:
            raise UserError(
                f"--target: it holds {facts.least_target:.0f}, and classes of rows in files are "
                "numbered from 0. Number them so in the file, add --no-in-place, since an import "
                "numbers them, or --task regression, where they are amounts."
            )
        other = "" if wanted else " (or --task regression)"
        return True, f"whole numbers with {facts.target_values:,} values: classes{other}"
    return False, "a number" + ("" if wanted else " (or --task classification)")


def _names_text(groups: Sequence[ArrayGroup], names: dict[str, str], paths: Sequence[str]) -> str:
    """Return the arrays with their types, and how to go on."""
    files = sum(len(group.headers.paths) for group in groups)
    width = max(map(len, names))
    lines = [f"{groups[0].rows:,} rows in {counted(files, 'file')}, read where they lie:", ""]
    lines += [f"  {name:{width}}  {text}" for name, text in names.items()]
    lines += ["", "Name the one that a model shall predict:", ""]
    shown = " ".join(f"'{path}'" if set(path) & set(" *?[") else path for path in paths)
    return "\n".join([*lines, f"  memtrain init {shown} --in-place --target {list(names)[-1]}"])


def summary_of_arrays(plan: ArrayPlan) -> list[str]:
    """Return lines on what was decided."""
    learned = "its classes are learned" if plan.is_class else "it is learned as a number"
    return [
        f"  target    {plan.choice.target}: {learned}",
        f"  features  {listed(plan.choice.features, 12)}",
        *(f"  left out  {name}: {why}" for name, why in plan.choice.left_out.items()),
    ]
