"""Draws the status of trainings as a table on a terminal."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from memtrain.core.wording import duration_text
from memtrain.reporting.training_status import STATES
from memtrain.training.progress_file import TrainingStatus

_STYLES = {
    "failed": "bold red",
    "lost": "red",
    "stopped": "yellow",
    "running": "cyan",
    "waiting": "dim",
    "finished": "green",
}

#: Lines on the terminal that show no training: header, borders, counts, a message, the prompt.
_OTHER_LINES = 6


class StatusTable:
    """A table of trainings, as wide as the terminal allows.

    Args:
        trainings: statuses in the order of the configuration.
        fits_height: whether to show only as many trainings as fit on the terminal, those that need
            attention first.
    """

    def __init__(self, trainings: Sequence[TrainingStatus], fits_height: bool = False):
        self._trainings = trainings
        self._fits_height = fits_height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what the console has room for."""
        shown = list(self._trainings)
        if self._fits_height:
            shown.sort(key=lambda training: STATES.index(training.state))
            shown = shown[: max(1, console.height - _OTHER_LINES)]
        columns = [column for column in _COLUMNS if options.max_width >= column.min_width]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column.name, justify=column.justify, no_wrap=True, overflow="ellipsis")
        for training in shown:
            table.add_row(*(column.cell(training) for column in columns))
        yield Group(table, self._counts(len(shown)), *self._messages(shown))

    def _counts(self, shown: int) -> Text:
        counts = Counter(training.state for training in self._trainings)
        parts = [f"{counts[state]:,} {state}" for state in STATES if counts[state]]
        hidden = len(self._trainings) - shown
        return Text(", ".join(parts) + (f" ({hidden:,} not shown)" if hidden else ""), "bold")

    def _messages(self, shown: list[TrainingStatus]) -> list[Text]:
        messages = [
            Text(f"{training.split}: {training.message}", _STYLES[training.state])
            for training in shown
            if training.message
        ]
        messages += [
            Text(f"{training.split}: reader: {training.reader}", "dim")
            for training in shown
            if training.state == "running" and _is_worth_telling(training.reader)
        ]
        return messages[:1] if self._fits_height else messages


def _is_worth_telling(reader: str | None) -> bool:
    """Return whether rows are read in another way than where they fit into memory."""
    return reader is not None and not reader.startswith("mmap")


def _state(training: TrainingStatus) -> Text:
    return Text(training.state, _STYLES[training.state])


def _bar(training: TrainingStatus) -> ProgressBar:
    return ProgressBar(total=training.steps or 1, completed=training.step or 0, width=12)


def _steps(training: TrainingStatus) -> str:
    return "" if training.steps is None else f"{training.step or 0:,}/{training.steps:,}"


def _epochs(training: TrainingStatus) -> str:
    return f"{training.epoch}/{training.epochs}" if training.epochs else ""


def _loss(training: TrainingStatus) -> str:
    return "" if training.loss is None else f"{training.loss:.4g}"


def _validation_loss(training: TrainingStatus) -> str:
    return "" if training.validation_loss is None else f"{training.validation_loss:.4g}"


def _rate(training: TrainingStatus) -> str:
    return "" if training.rows_per_second is None else f"{training.rows_per_second:,.0f}"


def _waiting_share(training: TrainingStatus) -> str:
    return "" if training.waiting_share is None else f"{training.waiting_share:.0%}"


def _time_left(training: TrainingStatus) -> str:
    return "" if training.seconds_left is None else duration_text(training.seconds_left)


def _checkpoint(training: TrainingStatus) -> str:
    age = training.checkpoint_age
    return "" if age is None else f"{duration_text(age)} ago"


def _where(training: TrainingStatus) -> str:
    if training.host is None:
        return ""
    processes = f" x{training.processes}" if (training.processes or 1) > 1 else ""
    return f"{training.host}{processes}" + (f" job {training.job}" if training.job else "")


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Attributes:
        min_width: least width of the terminal, in characters, at which the column is shown.
        name: header.
        justify: side to which the cells are aligned.
        cell: returns the cell of a training.
    """

    min_width: int
    name: str
    justify: Literal["left", "right"]
    cell: Callable[[TrainingStatus], RenderableType]


_COLUMNS = (
    _Column(0, "split", "left", lambda training: training.split),
    _Column(0, "state", "left", _state),
    _Column(100, "", "left", _bar),
    _Column(0, "step", "right", _steps),
    _Column(110, "epoch", "right", _epochs),
    _Column(45, "loss", "right", _loss),
    _Column(75, "validation", "right", _validation_loss),
    _Column(70, "rows/s", "right", _rate),
    _Column(90, "waiting", "right", _waiting_share),
    _Column(58, "left", "right", _time_left),
    _Column(80, "checkpoint", "right", _checkpoint),
    _Column(120, "where", "left", _where),
)
