"""The settings of evaluations.

They stand apart from the rest of the configuration, since recipes hold only these settings and
those of trainings.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from memtrain.config.types import Seed, Settings, read_number


class EvaluationSettings(Settings):
    """How models are evaluated."""

    bootstrap: Annotated[int, BeforeValidator(read_number), Field(ge=0)] = Field(
        default=100,
        description="Number of bootstrap resamples for every standard error; 0 for no standard "
        "errors.",
    )
    seed: Seed = Field(default=0, description="Seed of the resamples.")
