"""Settings of the records of who made what out of which rows."""

from typing import Literal

from pydantic import Field

from memtrain.config.types import Settings


class LineageSettings(Settings):
    """What is recorded of every run, and how surely."""

    required: bool = Field(
        False,
        description="Makes a run fail that cannot be recorded; unless set, it is warned of.",
    )
    verify_shards: Literal["none", "sample", "all"] = Field(
        "sample",
        description="Which of its rows' digests a training compares with the bytes on the disk "
        "before it starts: none, a few shards at random, or all of them.",
    )
    environment: list[str] = Field(
        [],
        description="Environment variables to record beside the known harmless ones (threads, "
        "devices, job ids). Name none that holds a secret.",
    )
