"""What a training runs in: its device, its processes, and settings that change no result."""

from dataclasses import dataclass, field

import torch

from memtrain.config.training import LoadingSettings, RunningSettings
from memtrain.training.checkpoint import CheckpointFolder
from memtrain.training.distributed.process_group import ProcessGroup
from memtrain.training.stopping import StopRequests


@dataclass(frozen=True)
class RunContext:
    """What a training runs in.

    No result depends on it, with two exceptions: sums differ in their last bits on another kind of
    device, and with ``reduction: fast`` also for another number of processes.

    Attributes:
        device: device of this process.
        group: processes that train together.
        loading: how rows are moved from the disk.
        running: how often state is saved, and how many slots are computed in one call.
        checkpoints: folder of the saved states; None to save none.
        stop: requests to leave before the end.
        is_followed: whether steps and validations are also written as they come, to the folder of
            the checkpoints, for a program that follows the training.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    group: ProcessGroup = field(default_factory=ProcessGroup)
    loading: LoadingSettings = field(default_factory=LoadingSettings)
    running: RunningSettings = field(default_factory=RunningSettings)
    checkpoints: CheckpointFolder | None = None
    stop: StopRequests = field(default_factory=StopRequests)
    is_followed: bool = False
