"""What a model is to learn of a target: a number or a class."""

from dataclasses import dataclass

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.tables.column_facts import ColumnFacts
from memtrain.frontdoor.roles import number_type

#: Most different whole numbers of a target that are taken for classes.
MOST_CLASSES = 20

#: Rows of a class, on the average, below which whole numbers are taken for numbers.
ROWS_PER_CLASS = 10


@dataclass(frozen=True)
class Task:
    """What is learned.

    Attributes:
        target: the column.
        is_class: whether it is a class; otherwise a number.
        dtype: the type that it needs in the data file; None for the usual one, float32.
        is_category: whether its classes are words, so that the import has to number them.
        why: why it is taken for that.
    """

    target: ColumnFacts
    is_class: bool
    dtype: str | None
    is_category: bool
    why: str


def find_task(target: ColumnFacts, wanted: str | None) -> Task:
    """Return what is learned of a target.

    Args:
        target: what stands in its column.
        wanted: "regression" or "classification"; None to decide by what stands there.

    Raises:
        UserError: where what is wanted does not fit.
    """
    kind, values = target.kind, target.values
    if kind == "text":
        if wanted == "regression":
            raise UserError(
                f"--task regression: '{target.name}' is text, and text is learned as classes. Name "
                "a column of numbers, or leave out --task."
            )
        return Task(target, True, None, True, f"words: {counted(values or 0, 'class')[:-1]}es")
    if kind == "number" or target.shape:
        if wanted == "classification":
            raise UserError(
                f"--task classification: '{target.name}' holds numbers with fractions or several "
                "numbers a row, which are no classes. Leave out --task."
            )
        return Task(target, False, number_type(target), False, "a number")
    if kind == "boolean":
        dtype = "float32" if wanted == "regression" else "bool"
        return Task(target, wanted != "regression", dtype, False, "true or false: 2 classes")
    return _whole_numbers(target, wanted)


def _whole_numbers(target: ColumnFacts, wanted: str | None) -> Task:
    values = target.values
    few = values is not None and values <= min(
        MOST_CLASSES, (target.rows - target.missing) / ROWS_PER_CLASS
    )
    if wanted == "classification" or (wanted is None and few):
        count = "many" if values is None else f"{values:,}"
        why = f"whole numbers with {count} values: classes" + _other_way("regression", wanted)
        # Numbers of classes count from 0; others are taken as words.
        is_category = isinstance(target.least, int) and target.least < 0
        return Task(target, True, None if is_category else "int64", is_category, why)
    dtype = "float64" if number_type(target) else None
    if dtype is None and target.type != "text":
        dtype = "float32"  # without it, whole numbers of a file with types are classes
    return Task(target, False, dtype, False, "a number" + _other_way("classification", wanted))


def _other_way(task: str, wanted: str | None) -> str:
    return "" if wanted else f" (or --task {task})"
