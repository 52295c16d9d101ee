"""How a model is validated while it trains: on which rows, and how often."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from memtrain.config.types import FROM_TEXT, Count, Settings
from memtrain.core.ranges import parse_bound
from memtrain.core.wording import listed, shown


def _check_share(share: str) -> str:
    try:
        part = parse_bound(share)
    except ValueError:
        part = None
    if part is None or not 0 < part < 1:
        raise ValueError(f"{shown(share)} is no percentage above 0% and below 100%, like '10%'")
    return share


Share = Annotated[
    str,
    AfterValidator(_check_share),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"}),
]


class ValidationSettings(Settings):
    """A share of the training rows on which a model is validated, and not trained."""

    share: Share = Field(description="Share of the training rows, like 10%; rounded down.")
    take: Literal["random", "last"] = Field(
        default="random",
        description="Which of the training rows are taken. random: runs of neighbouring rows, "
        "drawn by the seed of the training; last: the last ones, for rows in the order of time.",
    )


class ValidateEverySettings(Settings):
    """How often a model is validated: each so many epochs, or each so many optimizer steps."""

    epochs: Annotated[int, Field(ge=1, le=10**9), FROM_TEXT] | None = Field(
        default=None, description="Epochs between two validations."
    )
    steps: Count | None = Field(
        default=None, description="Optimizer steps between two validations."
    )

    @model_validator(mode="after")
    def _check_one(self) -> "ValidateEverySettings":
        if (self.epochs is None) == (self.steps is None):
            found: Any = "neither" if self.epochs is None else "both"
            raise ValueError(f"either `epochs` or `steps` is needed; found {found}")
        return self

    def in_steps(self, steps_per_epoch: int) -> int:
        """Return the optimizer steps between two validations."""
        return self.steps or (self.epochs or 1) * steps_per_epoch


#: The metrics whose direction is known: whether less is better, or more.
METRIC_MODES: dict[str, Literal["min", "max"]] = {
    "loss": "min",
    **dict.fromkeys(("rmse", "mae", "mse", "cross_entropy", "calibration_error"), "min"),
    **dict.fromkeys(("bits_per_element", "perplexity"), "min"),
    **dict.fromkeys(("r2", "accuracy", "f1"), "max"),
}


class EarlyStoppingSettings(Settings):
    """When a training ends before its last step: where validations no longer get better."""

    patience: Count = Field(
        default=3, description="Validations in a row without progress after which training ends."
    )
    min_delta: Annotated[float, Field(ge=0, le=1e30), FROM_TEXT] = Field(
        default=0.0, description="Progress is a metric that is better by more than this."
    )
    metric: str = Field(
        default="loss",
        description="What is compared, and decides which weights are the best: loss, or a metric "
        "in validation.csv.",
    )
    mode: Literal["min", "max"] | None = Field(
        default=None,
        description="Whether less or more is better; filled in for the metrics of memtrain.",
    )

    @model_validator(mode="after")
    def _check_mode(self) -> "EarlyStoppingSettings":
        known = METRIC_MODES.get(self.metric)
        if known is None:
            raise ValueError(
                f"metric: found {shown(self.metric)}; known are {listed(METRIC_MODES)}"
            )
        if self.mode not in (None, known):
            better = "less" if known == "min" else "more"
            raise ValueError(
                f"mode: found {self.mode}, but of {self.metric}, {better} is better; remove `mode`"
            )
        return self

    @property
    def sign(self) -> float:
        """1 where less is better, -1 where more is."""
        return 1.0 if METRIC_MODES[self.metric] == "min" else -1.0
