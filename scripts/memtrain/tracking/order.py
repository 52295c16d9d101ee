"""What a training tells the programs that mirror it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from memtrain.tracking.tracked_training import TrackedTraining

#: Seconds that sending may take after the end of the training.
SECONDS_AT_END = 10.0


@dataclass(frozen=True)
class Order:
    """What a follower is to do.

    Attributes:
        tracker: name of the tracker.
        settings: the section `tracking` of the configuration, as JSON.
        folder: folder of what trackers were sent.
        training: the training.
    """

    tracker: str
    settings: dict
    folder: Path
    training: TrackedTraining

    def as_text(self) -> str:
        """Return the order as JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_text(cls, text: str) -> "Order":
        """Return the order that ``as_text`` wrote."""
        return TypeAdapter(cls).validate_json(text)
