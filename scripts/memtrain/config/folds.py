"""The settings of a cross-validation: how the rows are cut into folds."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from memtrain.config.plain_values import read_number
from memtrain.config.splits import SplitRanges
from memtrain.config.types import FROM_TEXT, Settings
from memtrain.core.group_borders import GroupBorders
from memtrain.core.ranges import MOST_ROWS, Range


def _allow_count_alone(schema: dict[str, Any]) -> None:
    """Let a JSON schema accept the number of folds in place of a mapping."""
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [mapping["properties"]["count"] | {"description": "The count."}, mapping]


class FoldSettings(Settings):
    """A cross-validation; a number stands for that many folds of rows in any order."""

    model_config = Settings.model_config | {"json_schema_extra": _allow_count_alone}

    count: Annotated[int, Field(ge=2, le=10_000), FROM_TEXT] = Field(
        description="Number of folds: fold_1, fold_2, ..."
    )
    order: Literal["any", "time"] = Field(
        default="any",
        description="any: the rows are cut into equal parts; each fold is evaluated on one, "
        "and trained on all others. time: for rows in the order of time. The rows are cut into one "
        "part more; fold_1 is trained on the first part and evaluated on the second one, fold_2 "
        "trained on the first two and evaluated on the third one, and so on.",
    )
    gap: Annotated[int, Field(ge=0, le=MOST_ROWS - 1), FROM_TEXT] = Field(
        default=0,
        description="Rows beside those that a fold is evaluated on which it is not trained on. Use "
        "it where neighbouring rows have values in common.",
    )

    @property
    def names(self) -> list[str]:
        """The names of the folds."""
        return [f"fold_{number}" for number in range(1, self.count + 1)]

    def resolve(self, number: int, rows: int, groups: GroupBorders | None = None) -> SplitRanges:
        """Return the ranges of a fold as row numbers, and their problems.

        Args:
            number: the number of the fold, from 0.
            rows: number of rows in the file.
            groups: borders between groups of rows, which no fold cuts; None where rows have none.
                The gap then leaves out whole groups.
        """
        parts = self.count + (self.order == "time")
        if problem := self._too_many(parts, rows, groups):
            return SplitRanges([], [], [problem])
        borders = [rows * part // parts for part in range(parts + 1)]
        if groups is not None:
            borders = groups.even_borders(parts)
        place = number + (self.order == "time")
        evaluate = Range(borders[place], borders[place + 1])
        ends = max(0, evaluate.start - self.gap), min(rows, evaluate.end + self.gap)
        if groups is not None:
            ends = groups.around(ends[0])[0], groups.around(ends[1])[1]
        before, after = Range(0, ends[0]), Range(ends[1], rows)
        around = [before] if self.order == "time" else [before, after]
        train = [part for part in around if part.rows > 0]
        if not train:
            problem = (
                f"folds.gap: {self.gap} rows leave fold_{number + 1} no row to train on; its rows "
                f"to evaluate on are {evaluate} of {rows}. Use a smaller gap, or fewer folds."
            )
            return SplitRanges([], [], [problem])
        return SplitRanges(train, [evaluate], [])

    def _too_many(self, parts: int, rows: int, groups: GroupBorders | None) -> str | None:
        """Return a problem where there are more parts than rows or groups; None elsewhere."""
        if groups is not None and parts > groups.groups:
            needed = " (and the first one is only trained on)" if parts > self.count else ""
            return (
                f"folds: {self.count} folds need {parts} groups of '{groups.column}' or more"
                f"{needed}, and there are {groups.groups}. Use fewer folds."
            )
        if parts > rows:
            return f"folds: {self.count} folds of {rows} rows leave some of the folds empty."
        return None


def _read_folds(value: Any) -> Any:
    return value if isinstance(value, (dict, FoldSettings)) else {"count": read_number(value)}


#: Folds, or their number.
Folds = Annotated[FoldSettings, BeforeValidator(_read_folds)]
