"""The settings of the records that say which rows, code and settings made a result.

They stand apart from the rest of the configuration, so that a script that records its run does not
depend on the settings of trainings.
"""

from typing import Literal

from pydantic import Field

from memtrain.config.types import Settings


class LineageSettings(Settings):
    """What is recorded of every run, and how strictly."""

    required: bool = Field(
        default=False,
        description="Whether a run fails if it cannot be recorded; otherwise it goes on with a "
        "warning.",
    )
    verify_shards: Literal["none", "sample", "all"] = Field(
        default="sample",
        description="How many shards a training or an evaluation compares with their digests "
        "before it starts: none, a few at random, or all that it reads.",
    )
    packages: Literal["noted", "stale"] = Field(
        default="noted",
        description="What another version of numpy or torch does to results: noted, it is told, "
        "and they stand; stale, they are made again.",
    )
    environment: list[str] = Field(
        default=[],
        description="Environment variables to record in addition to those that are known to be "
        "harmless (threads, devices, job ids). Do not name one that holds a secret.",
    )
