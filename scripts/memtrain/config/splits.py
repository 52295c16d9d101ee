"""The settings of a split: which rows its model is trained on, and which it is evaluated on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from memtrain.config.plain_values import read_number
from memtrain.config.training import TrainingOverrides
from memtrain.config.types import Settings
from memtrain.core.group_borders import GroupBorders, resolve_pair
from memtrain.core.ranges import Range, overlaps, parse_bound, self_overlaps
from memtrain.core.wording import listed, shown


def _read_ranges(value: Any) -> Any:
    """Return a list of pairs [start, end]; a single pair may stand for a list with one."""
    if not isinstance(value, list) or not value:
        raise ValueError("a range is [start, end], or a list of such pairs")
    pairs = value if isinstance(value[0], list) else [value]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{shown(pair)} is not a pair [start, end]")
        start, end = (parse_bound(read_number(bound)) for bound in pair)
        if type(start) is type(end) and not start < end:
            mistake = "is empty" if start == end else "runs backwards"
            raise ValueError(f"the range {shown(pair)} {mistake}; start must come before end")
    return [[read_number(bound) for bound in pair] for pair in pairs]


_BOUND_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
    ]
}
_PAIR_SCHEMA = {"type": "array", "items": _BOUND_SCHEMA, "minItems": 2, "maxItems": 2}
Ranges = Annotated[
    list[list[int | str]],
    BeforeValidator(_read_ranges),
    WithJsonSchema({"anyOf": [_PAIR_SCHEMA, {"type": "array", "items": _PAIR_SCHEMA}]}),
]


@dataclass(frozen=True)
class SplitRanges:
    """The rows of a split in a file with a known number of rows.

    Attributes:
        train: ranges that the model is trained on.
        evaluate: ranges that the model is evaluated on; empty where it is not evaluated.
        problems: problems of the ranges, a sentence each; empty if there are none.
        validate: ranges that the model is validated on while it trains; empty for none.
    """

    train: list[Range]
    evaluate: list[Range]
    problems: list[str]
    validate: list[Range] = field(default_factory=list)


class SplitSettings(Settings):
    """One training and its evaluation, if it has one."""

    train: Ranges = Field(
        description="Rows to train on: [start, end], or a list of such ranges. The end is not "
        "included; a bound is a row number or a percentage like 80%."
    )
    evaluate: Ranges | None = Field(
        default=None,
        description="Rows to evaluate on, written like `train`. Without it, the model is not "
        "evaluated: for one that is trained on all rows.",
    )
    validate_: Ranges | None = Field(
        default=None,
        alias="validate",
        description="Rows to validate on while the model trains, written like `train`; null for "
        "the share of the training rows that `training.validation` names, if it names one.",
    )
    allow_overlap: bool = Field(
        default=False,
        description="Whether a row may be both trained on and evaluated on, or validated on.",
    )
    training: TrainingOverrides = Field(
        default=TrainingOverrides(),
        description="Settings of `training` that differ for this split.",
    )

    def resolve(self, key: str, rows: int, groups: GroupBorders | None = None) -> SplitRanges:
        """Return the ranges as row numbers, and their problems.

        Args:
            key: key of the split, for messages: "splits.NAME".
            rows: number of rows in the file.
            groups: borders between groups of rows, which no range cuts; None where rows have none.
                A percentage stands for the border that is nearest to it.
        """
        problems: list[str] = []
        resolved: list[list[Range]] = []
        for use, given in (
            ("train", self.train),
            ("validate", self.validate_),
            ("evaluate", self.evaluate),
        ):
            pairs, where = given or [], f"{key}.{use}"
            ranges = [resolve_pair(pair, rows, groups) for pair in pairs]
            problems += _range_problems(where, pairs, ranges, rows, groups)
            if groups is not None:
                problems += _cut_groups(where, pairs, groups)
            resolved.append(ranges)
        train, validate, evaluate = resolved
        if not self.allow_overlap:
            problems += _shared_rows(
                key, {"trained": train, "validated": validate, "evaluated": evaluate}
            )
        return SplitRanges(train, evaluate, problems, validate)


#: The key that names the rows of a use.
_KEYS = {"trained": "train", "validated": "validate", "evaluated": "evaluate"}


def _shared_rows(key: str, ranges_by_use: dict[str, list[Range]]) -> Iterator[str]:
    """Yield a problem for each two uses that have rows in common.

    Args:
        key: key of the split.
        ranges_by_use: ranges by what the model does on them: "trained", "validated", "evaluated".
    """
    for (one, left), (other, right) in combinations(ranges_by_use.items(), 2):
        if shared := list(overlaps(left, right)):
            yield (
                f"{key}: rows {listed(shared)} are both {one} on and {other} on. Change "
                f"`{_KEYS[one]}` or `{_KEYS[other]}`, or set `allow_overlap: true`."
            )


def _cut_groups(key: str, pairs: list[list[int | str]], groups: GroupBorders) -> Iterator[str]:
    """Yield a problem for every row number among the bounds that lies inside a group."""
    for pair in pairs:
        for bound in pair:
            if isinstance(bound, str) or bound >= groups.rows:
                continue
            before, after = groups.around(bound)
            if before != after:
                yield (
                    f"{key}: {pair} cuts a group of '{groups.column}' at row {bound}; the group is "
                    f"rows [{before}, {after}). Use {before} or {after}, or a percentage, which "
                    "stands for the nearest border of groups."
                )


def _range_problems(
    key: str,
    pairs: list[list[int | str]],
    ranges: list[Range],
    rows: int,
    groups: GroupBorders | None,
) -> Iterator[str]:
    """Yield the problems of ranges in a file.

    Args:
        key: key of the ranges.
        pairs: the ranges as they are configured.
        ranges: the same ranges in row numbers.
        rows: number of rows in the file.
        groups: borders between groups of rows; None where rows have none.
    """
    moved = f", at borders of groups of '{groups.column}'" if groups else ""
    for pair, resolved in zip(pairs, ranges, strict=True):
        if resolved.end > rows:
            yield (
                f"{key}: {pair} reaches to row {resolved.end}, but the data has {rows} rows. "
                f"Use {rows} or '100%' as the end, or provide more rows."
            )
        elif resolved.rows <= 0:
            mistake = "is empty" if resolved.rows == 0 else "runs backwards"
            yield (
                f"{key}: {pair} is {resolved} of {rows} rows{moved}, which {mistake}. The start "
                "must come before the end."
            )
    for common in self_overlaps(ranges):
        yield f"{key}: rows {common} are in two of these ranges. Name them once."
