"""A configuration that is proposed for a table: every setting with the reason for it."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memtrain.config.dataset import TwoPaths
from memtrain.config.text_files import CsvSettings
from memtrain.config.types import LONGEST_NAME
from memtrain.core.wording import listed
from memtrain.frontdoor.amounts import Amounts, amounts_for
from memtrain.frontdoor.roles import LARGEST_EXACT_DOUBLE, Role, RowOrder, largest
from memtrain.frontdoor.setting import Setting
from memtrain.frontdoor.task import Task

#: Most features that are named one by one.
_MOST_NAMED = 16

#: Words of a category from which rare ones become one word together.
_MANY_WORDS = 20

#: Most classes whose shares a random order can keep.
_MOST_STRATIFIED = 1000

#: Share of the rows that are trained on, and the days of cycles that they have to cover.
_TRAINED = 0.8
_DAYS_OF_A_YEAR, _DAYS_OF_A_WEEK = 365, 7

_SEED = 1


@dataclass(frozen=True)
class Plan:
    """What is known of a table and decided about it.

    Attributes:
        path: the files of the table.
        csv: how text files are written.
        roles: what each column is used for, the target aside, in the order of the table.
        task: what is learned.
        order: how the rows hang together.
        is_named: whether the user has named the target; otherwise it is the last column.
    """

    path: str | TwoPaths
    csv: CsvSettings
    roles: Sequence[Role]
    task: Task
    order: RowOrder
    is_named: bool = True

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.task.target.rows

    @property
    def features(self) -> list[Role]:
        """The columns that the model sees."""
        return [role for role in self.roles if role.use != "left out"]

    @property
    def left_out(self) -> list[Role]:
        """The columns that it does not see."""
        return [role for role in self.roles if role.use == "left out"]

    @property
    def target_in_file(self) -> str:
        """The name of the target in its file: of two files, both may have a column of one name."""
        name = self.task.target.name
        return name.removeprefix("target:") if isinstance(self.path, TwoPaths) else name


def proposed_settings(plan: Plan) -> list[Setting]:
    """Return the settings that are proposed for a table."""
    return [
        Setting("dataset", (Setting("name", dataset_name(plan.path)), _import(plan))),
        Setting("splits", (_split(plan),)),
        Setting("training", tuple(_training(plan, amounts_for(plan.rows)))),
    ]


def dataset_name(path: str | TwoPaths) -> str:
    """Return a name for the results of files, made of their own."""
    text = path.features if isinstance(path, TwoPaths) else path
    parts = [part for part in text.split("/") if part and not re.search(r"[*?\[]", part)]
    stem = parts[-1].split(".")[0] if parts else ""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
    return name[:LONGEST_NAME] or "table"


def _import(plan: Plan) -> Setting:
    path: Any = plan.path
    if isinstance(path, TwoPaths):
        path = path.model_dump()
    settings = [Setting("path", path), _features(plan)]
    last = "" if plan.is_named else "; the last column, since none was named (--target)"
    settings.append(Setting("target", [plan.target_in_file], f"{plan.task.why}{last}"))
    categories = [role.name for role in plan.features if role.use == "category"]
    if plan.task.is_category:
        categories.append(plan.task.target.name)
    if categories:
        is_text = not plan.task.is_category or plan.task.target.kind == "text"
        why = "text" if is_text else "text, and numbers below 0, which are taken as words"
        settings.append(Setting("categories", categories, why))
    if dtypes := _dtypes(plan):
        settings.append(Setting("dtypes", dtypes, _why_dtypes(plan)))
    settings += _missing(plan)
    if rounded := _rounded(plan):
        why = "integers beyond 2^53, of which float64 keeps the first 16 digits"
        settings.append(Setting("inexact", dict.fromkeys(rounded, "round"), why))
    if csv := plan.csv.model_dump(exclude_defaults=True):
        is_numbered = plan.csv.column_names == "numbers"
        why = "; the first line has no names" if is_numbered else ""
        settings.append(Setting("csv", csv, f"how the file is written{why}"))
    settings += _order(plan)
    return Setting("import", tuple(settings))


def _features(plan: Plan) -> Setting:
    names = [role.name for role in plan.features]
    left_out = [role.name for role in plan.left_out]
    value: Any = names
    if len(names) > _MOST_NAMED:
        value = [{"all_but": left_out}] if left_out else ":"
    return Setting("features", value, _why_left_out(plan))


def _why_left_out(plan: Plan) -> str:
    """Return which columns are left out, by the reason for it."""
    names: dict[str, list[str]] = {}
    for role in plan.left_out:
        names.setdefault(role.why, []).append(role.name)
    parts = [f"{listed(named, _MOST_NAMED)} ({why})" for why, named in names.items()]
    return f"left out: {'; '.join(parts)}" if parts else ""


def _dtypes(plan: Plan) -> dict[str, str]:
    dtypes = {role.name: role.dtype for role in plan.features if role.dtype}
    if plan.task.dtype:
        dtypes[plan.task.target.name] = plan.task.dtype
    return dtypes


def _why_dtypes(plan: Plan) -> str:
    """Return why some columns need a type of their own."""
    uses = {role.use for role in plan.features if role.dtype}
    return "; ".join(
        text
        for text, is_meant in (
            ("float32 would round these numbers", "number" in uses),
            ("dates, which are text in the file", "date" in uses),
            ("an integer target is a class, a float one a number", bool(plan.task.dtype)),
        )
        if is_meant
    )


def _rounded(plan: Plan) -> list[str]:
    """Return the columns of integers that float64 rounds, the target among them."""
    numbers = {role.name: role.facts for role in plan.features if role.use == "number"}
    if not plan.task.is_class:
        numbers[plan.task.target.name] = plan.task.target
    return [
        name
        for name, facts in numbers.items()
        if facts.kind == "integer" and largest(facts) > LARGEST_EXACT_DOUBLE
    ]


def _missing(plan: Plan) -> Iterator[Setting]:
    lacking, target = [role.name for role in plan.features if role.facts.missing], plan.task.target
    # Keys that are names of columns do not stand for the features, or the target.
    is_clear = target.name != "features" and all(role.name != "target" for role in plan.features)
    kept = ["features"] if lacking and is_clear else lacking
    dropped = ["target" if is_clear else target.name] if target.missing else []
    if kept or dropped:
        reasons = ["features are filled by `impute`"] if kept else []
        reasons += ["rows without target go"] if dropped else []
        missing = dict.fromkeys(kept, "keep") | dict.fromkeys(dropped, "drop")
        yield Setting("missing", missing, "; ".join(reasons))


def _order(plan: Plan) -> Iterator[Setting]:
    order, target = plan.order, plan.task.target
    if order.time:
        return
    if order.group:
        value: Any = {"seed": _SEED, "group_by": order.group}
        why = f"no rows of one {order.group} are both trained and evaluated on"
    elif plan.task.is_class and (target.values or _MOST_STRATIFIED + 1) <= _MOST_STRATIFIED:
        value = {"seed": _SEED, "stratify_by": target.name}
        why = "every range has the same shares of the classes"
    else:
        value, why = _SEED, "a random order: files are often sorted by something"
    yield Setting("shuffle_once", value, "; ".join(filter(None, [why, order.note])))


def _split(plan: Plan) -> Setting:
    why = "the rows of `evaluate` decide nothing, so that the result can be trusted"
    if plan.order.time:
        why = f"in the order of {plan.order.time}: evaluated on what came last"
    return one_range(why)


def one_range(why: str) -> Setting:
    """Return a split that trains on the first rows, and evaluates on the last ones."""
    ranges = {"train": [0, "80%"], "validate": ["80%", "90%"], "evaluate": ["90%", "100%"]}
    return Setting("all", ranges, why)


def _training(plan: Plan, amounts: Amounts) -> Iterator[Setting]:
    features = [*_impute(plan), *_encode(plan)]
    return proposed_training(amounts, plan.rows, plan.task.is_class, features)


def proposed_training(
    amounts: Amounts, rows: int, is_class: bool, features: Iterable[Setting]
) -> Iterator[Setting]:
    """Yield the settings of a training.

    Args:
        amounts: sizes of the model and of its steps.
        rows: the number of rows.
        is_class: whether the target is a class.
        features: settings of what becomes of the features.
    """
    yield Setting("model", {"name": "mlp", "hidden": list(amounts.hidden)}, amounts.why_hidden)
    yield Setting("transform", "standardize", "every feature has mean 0 and deviation 1")
    yield from features
    if is_class:
        yield Setting("loss", "CrossEntropyLoss", "for classes")
    else:
        yield Setting("target", "standardize", "results keep the unit of the target")
        yield Setting("loss", "MSELoss", "HuberLoss, where few values are far off")
    yield Setting("optimizer", {"name": "AdamW", "lr": 0.002, "weight_decay": 0.01})
    window = amounts.batch_size * amounts.accumulation_steps
    why = f"{window} rows a step, for {rows:,} rows"
    yield Setting("batch_size", amounts.batch_size, why)
    yield Setting("accumulation_steps", amounts.accumulation_steps, "so that 2 or 4 processes fit")
    yield Setting("epochs", amounts.epochs, "at most; early_stopping ends it before")
    yield Setting("early_stopping", {"patience": amounts.patience}, "epochs without progress")
    yield Setting("keep", "best", "the weights of the best validation")


def _impute(plan: Plan) -> Iterator[Setting]:
    """Yield what takes the place of missing values; one setting for all where it can be."""
    fills = {
        role.name: ("category" if role.use == "category" else {"with": "median", "indicator": True})
        for role in plan.features
        if role.facts.missing
    }
    if not fills:
        return
    why = "; ".join(
        text
        for use, text in (
            ("number", "numbers: the median of the training rows, and where it was missing"),
            ("category", "text: a word of its own"),
        )
        if any(role.use == use and role.name in fills for role in plan.features)
    )
    is_same = all(role.use == "number" for role in plan.features)
    value: Any = {"with": "median", "indicator": True}
    yield Setting("impute", value if is_same and len(fills) > _MOST_NAMED else fills, why)


def _encode(plan: Plan) -> Iterator[Setting]:
    encode: dict[str, Any] = {}
    for role in plan.features:
        if role.use == "category" and (role.facts.values or 0) > _MANY_WORDS:
            encode[role.name] = {"name": "one_hot", "rare": 2}
        elif role.use == "date":
            encode[role.name] = _time_parts(role, plan.order)
    uses = {role.use for role in plan.features if role.name in encode}
    why = {
        "category": "words of a single training row become one word together",
        "date": "dates by their places in the cycles that the training rows cover",
    }
    if encode:
        reasons = "; ".join(text for use, text in why.items() if use in uses)
        yield Setting("encode", encode, reasons)


def _time_parts(role: Role, order: RowOrder) -> list[str]:
    """Return what the model sees of a date.

    In the order of time, evaluation rows lie beyond all dates of the training rows, so that the
    elapsed seconds would lead a model astray; so would the day of a year of which the training rows
    have seen a part.
    """
    is_time = role.facts.kind == "time" and not role.facts.type.startswith("date")
    hour = ["hour"] if is_time else []
    if not order.time:
        return ["elapsed", "day_of_year", "weekday", *hour]
    trained_days = _TRAINED * _days(role)
    return [
        *(["day_of_year"] if trained_days >= _DAYS_OF_A_YEAR else []),
        *(["weekday"] if trained_days >= _DAYS_OF_A_WEEK or not is_time else []),
        *hour,
    ]


def _days(role: Role) -> float:
    """Return how many days lie between the first and the last date; infinity if it is not known."""
    try:
        ends = [datetime.fromisoformat(str(one)) for one in (role.facts.least, role.facts.greatest)]
        return (ends[1] - ends[0]).total_seconds() / 86400
    except (ValueError, TypeError):
        return math.inf
