"""The status of trainings as a table on a terminal."""

from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from memtrain.reporting.training_status import STATES, TrainingStatus

_STYLES = {
    "failed": "bold red",
    "lost": "red",
    "stopped": "yellow",
    "running": "cyan",
    "waiting": "dim",
    "finished": "green",
}

#: Lines of a table that are no training: its head, its borders, the count below, the prompt.
_OTHER_LINES = 6


class StatusTable:
    """A table of trainings, as wide as the terminal allows.

    Args:
        trainings: in the order of the configuration.
        fits_height: shows those that matter first, and no more than fit.
    """

    def __init__(self, trainings: Sequence[TrainingStatus], fits_height: bool = False):
        self._trainings, self._fits_height = trainings, fits_height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what the console has room for."""
        shown = list(self._trainings)
        if self._fits_height:
            shown.sort(key=lambda one: STATES.index(one.state))
            shown = shown[: max(1, console.height - _OTHER_LINES)]
        columns = [column for column in _COLUMNS if options.max_width >= column[0]]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for _, name, justify, _ in columns:
            table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")
        for one in shown:
            table.add_row(*(cell(one) for *_, cell in columns))
        yield Group(table, self._count(len(shown)), *self._messages(shown))

    def _count(self, shown: int) -> Text:
        counts = Counter(one.state for one in self._trainings)
        parts = [f"{counts[state]:,} {state}" for state in STATES if counts[state]]
        hidden = len(self._trainings) - shown
        return Text(", ".join(parts) + (f" ({hidden:,} not shown)" if hidden else ""), "bold")

    def _messages(self, shown: list[TrainingStatus]) -> list[Text]:
        told = [one for one in shown if one.message]
        if self._fits_height:
            told = told[:1]
        return [Text(f"{one.split}: {one.message}", _STYLES[one.state]) for one in told]


def _state(one: TrainingStatus) -> Text:
    return Text(one.state, _STYLES[one.state])


def _bar(one: TrainingStatus) -> ProgressBar:
    return ProgressBar(total=one.steps or 1, completed=one.step or 0, width=12)


def _steps(one: TrainingStatus) -> str:
    return "" if one.steps is None else f"{one.step or 0:,}/{one.steps:,}"


def _epochs(one: TrainingStatus) -> str:
    return f"{one.epoch}/{one.epochs}" if one.epochs else ""


def _loss(one: TrainingStatus) -> str:
    return "" if one.loss is None else f"{one.loss:.4g}"


def _rate(one: TrainingStatus) -> str:
    return "" if one.rows_per_second is None else f"{one.rows_per_second:,.0f}"


def _waiting(one: TrainingStatus) -> str:
    return "" if one.waiting_share is None else f"{one.waiting_share:.0%}"


def _where(one: TrainingStatus) -> str:
    if one.host is None:
        return ""
    several = f" x{one.processes}" if (one.processes or 1) > 1 else ""
    return f"{one.host}{several}" + (f" job {one.job}" if one.job else "")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _left(one: TrainingStatus) -> str:
    return _duration(one.seconds_left)


def _checkpoint(one: TrainingStatus) -> str:
    return "" if one.checkpoint_age is None else f"{_duration(one.checkpoint_age)} ago"


#: The width of a terminal from which on a column is shown, its name, its side, and its cells.
_COLUMNS: list[tuple[int, str, str, Callable]] = [
    (0, "split", "left", lambda one: one.split),
    (0, "state", "left", _state),
    (100, "", "left", _bar),
    (0, "step", "right", _steps),
    (110, "epoch", "right", _epochs),
    (45, "loss", "right", _loss),
    (70, "rows/s", "right", _rate),
    (90, "waiting", "right", _waiting),
    (58, "left", "right", _left),
    (80, "checkpoint", "right", _checkpoint),
    (120, "where", "left", _where),
]
