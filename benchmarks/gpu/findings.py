"""What a point finds, and what it is told."""

from dataclasses import dataclass

import torch

#: What is found where only a GPU could find something.
NEEDS_A_GPU = "needs a GPU"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        what: what was looked at.
        found: a number, or a text.
        unit: unit of the number.
        share: the number divided by its ceiling or its baseline; None where there is none.
        is_wrong: whether this must not be.
    """

    what: str
    found: float | str
    unit: str = ""
    share: float | None = None
    is_wrong: bool = False

    @property
    def text(self) -> str:
        """The number with its unit, or the text."""
        if isinstance(self.found, str):
            return self.found
        number = f"{self.found:,.0f}" if abs(self.found) >= 100 else f"{self.found:.3g}"
        return f"{number} {self.unit}".strip()


@dataclass(frozen=True)
class Setting:
    """Where a point runs.

    Attributes:
        device: the first GPU, or the CPU for a rehearsal.
    """

    device: torch.device

    @property
    def on_gpu(self) -> bool:
        """Whether this is a GPU. On the CPU, everything is small: it is there to be rehearsed."""
        return self.device.type == "cuda"

    def size(self, on_gpu: int, rehearsed: int) -> int:
        """Return a size: that for a GPU, or that for a rehearsal."""
        return on_gpu if self.on_gpu else rehearsed

    def wait(self) -> None:
        """Wait until the device has done what it was told."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def right(what: str, is_right: bool) -> Finding:
    """Return the finding that something is as it must be, or that it is not."""
    return Finding(what, "yes" if is_right else "NO", is_wrong=not is_right)
