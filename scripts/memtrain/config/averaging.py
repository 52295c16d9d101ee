"""How weights are averaged over the steps of a training."""

from typing import Annotated

from pydantic import Field, model_validator

from memtrain.config.step_counts import StepCount, resolve_step_count
from memtrain.config.types import FROM_TEXT, Settings


class SwaSettings(Settings):
    """A plain average of the weights, over the steps at the end of a training."""

    start: StepCount = Field(
        default="75%", description="Steps before the first one that counts: 1000, 75% or 2 epochs."
    )


class AveragingSettings(Settings):
    """An average of the weights: an exponential one, or a plain one of the last steps."""

    ema: Annotated[float, Field(gt=0, lt=1), FROM_TEXT] | None = Field(
        default=None,
        description="Share of the average that stays after each step, such as 0.999.",
    )
    swa: SwaSettings | None = Field(default=None, description="A plain average: {start: 75%}.")

    @model_validator(mode="after")
    def _check_one(self) -> "AveragingSettings":
        if (self.ema is None) == (self.swa is None):
            found = "neither" if self.ema is None else "both"
            raise ValueError(f"either `ema` or `swa` is needed; found {found}")
        return self

    def steps_before(self, steps: int, steps_per_epoch: int) -> int:
        """Return the number of steps before the first one that counts.

        Args:
            steps: number of steps of the training.
            steps_per_epoch: number of steps of one epoch.
        """
        return resolve_step_count(self.swa.start, steps, steps_per_epoch) if self.swa else 0
