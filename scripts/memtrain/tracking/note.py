"""What a tracker has been sent of the training of a split, in a file beside the results.

It is written before and after every sending. So a program that goes on after a kill sends the rest.
What may have arrived already is sent again with the same time, so that the tracker knows it.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from memtrain.core.errors import UserError
from memtrain.system import canonical_json


@dataclass(frozen=True)
class Sending:
    """Points of a table that may have arrived.

    Attributes:
        step: the last of their steps.
        at: the Unix time that they were sent with.
    """

    step: int
    at: float


@dataclass(frozen=True)
class Note:
    """What a tracker has been sent.

    Attributes:
        target: what was written to, like the address of a server.
        training: identity of the training.
        run: id of the run in the tracker; None before there is one.
        steps: the last step that has arrived, by table: "training", "validation".
        sending: points that may have arrived, by table.
        final: digest of the final numbers that have arrived; None before.
        state: how far the tracker knows the training to be.
    """

    target: str
    training: str
    run: str | None = None
    steps: Mapping[str, int] = field(default_factory=dict)
    sending: Mapping[str, Sending] = field(default_factory=dict)
    final: str | None = None
    state: str | None = None

    @classmethod
    def read(cls, path: str | os.PathLike, target: str, training: str) -> "Note":
        """Return the note of a training; an empty one where there is none, or that of another."""
        empty = cls(target, training)
        try:
            content: Any = canonical_json.read(path, made_by="track")
            note = TypeAdapter(cls).validate_python(content)
        except (UserError, OSError, ValueError):
            return empty
        return note if (note.target, note.training) == (target, training) else empty

    def write(self, path: Path) -> None:
        """Write the note."""
        canonical_json.write(path, asdict(self))

    def arrived(self, table: str, step: int) -> "Note":
        """Return the note after the points of a table up to a step have arrived."""
        sending = {name: one for name, one in self.sending.items() if name != table}
        return replace(self, steps={**self.steps, table: step}, sending=sending)

    def sends(self, table: str, sending: Sending) -> "Note":
        """Return the note while points of a table are sent."""
        return replace(self, sending={**self.sending, table: sending})
