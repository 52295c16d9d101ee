"""The settings of evaluations.

They stand apart from the rest of the configuration, since recipes hold only these settings and
those of trainings.
"""

from typing import Annotated

from pydantic import Field

from memtrain.config.types import FROM_TEXT, Seed, Settings


class EvaluationSettings(Settings):
    """How models are evaluated."""

    bootstrap: Annotated[int, Field(ge=0, le=100_000), FROM_TEXT] = Field(
        default=100,
        description="Number of bootstrap resamples for every standard error; 0 for no standard "
        "errors.",
    )
    seed: Seed = Field(default=0, description="Seed of the resamples.")
