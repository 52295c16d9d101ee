"""What every tracker does, and how it says that it cannot."""

from collections.abc import Sequence
from typing import Literal, Protocol

from memtrain.tracking.points import Point
from memtrain.tracking.tracked_training import TrackedTraining

#: How far a training is: it runs, has ended well, has failed, or was stopped or killed.
RunState = Literal["running", "finished", "failed", "stopped"]


class TrackerError(Exception):
    """Says why a tracker cannot be reached, or refuses what it is sent. It may be tried again."""


class Tracker(Protocol):
    """Shows one training. Every method may raise a ``TrackerError``, and then has done nothing.

    Attributes:
        target: what is written to, like an address; another target has been sent nothing yet.
    """

    target: str

    def begin(self, training: TrackedTraining, run: str | None, started_at: float) -> str:
        """Find or make the run of a training, and write its settings.

        Args:
            training: the training.
            run: the id of the run that ``begin`` gave before; None if there was none, or it is not
                known any more.
            started_at: Unix time at which the training began.

        Returns:
            The id of the run.
        """
        ...

    def last_steps(self) -> dict[str, int]:
        """Return the last steps that the run has, by table; those of an unknown run that it has."""
        ...

    def add(self, points: Sequence[Point], at: float) -> None:
        """Write points, in the order of their steps; they are kept when this returns.

        The same call a second time changes nothing.

        Args:
            points: the points; at most ``most_points``.
            at: Unix time of the points.
        """
        ...

    def most_points(self, point: Point) -> int:
        """Return how many points like this one can be added in one call."""
        ...

    def set_state(self, state: RunState, at: float) -> None:
        """Write how far the training is, since a Unix time."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
