"""What a training runs in: its device, its processes, and settings that change no result."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from memtrain.config.results import HOOKS_FOLDER
from memtrain.config.running import LoadingSettings, RunningSettings
from memtrain.training.checkpoint import CheckpointFolder
from memtrain.training.distributed.process_group import ProcessGroup
from memtrain.training.stopping import StopRequests


@dataclass(frozen=True)
class RunContext:
    """What a training runs in.

    No result depends on it, with three exceptions: the weights in ``initial``; sums differ in their
    last bits on another kind of device, and with ``reduction: fast`` also for another number of
    processes.

    Attributes:
        device: device of this process.
        group: processes that train together.
        loading: how rows are moved from the disk.
        running: how often state is saved, and how many slots are computed in one call.
        checkpoints: folder of the saved states; None to save none.
        stop: requests to leave before the end.
        initial: model of the split that the training starts from; None where it starts from none.
        hooks_folder: folder that is offered to hooks of the user's own, which need not be there.
        is_followed: whether steps and validations are also written as they come, to the folder of
            the checkpoints, for a program that follows the training.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    group: ProcessGroup = field(default_factory=ProcessGroup)
    loading: LoadingSettings = field(default_factory=LoadingSettings)
    running: RunningSettings = field(default_factory=RunningSettings)
    checkpoints: CheckpointFolder | None = None
    stop: StopRequests = field(default_factory=StopRequests)
    initial: Path | None = None
    hooks_folder: Path = Path(HOOKS_FOLDER)
    is_followed: bool = False
