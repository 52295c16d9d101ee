"""When the next checkpoint is due, agreed on by all processes."""

import time

import torch

from memtrain.config.running import CheckpointSettings
from memtrain.training.distributed.process_group import ProcessGroup

#: Steps after which several processes agree again whether a checkpoint is due.
_STEPS_BETWEEN_AGREEMENTS = 16


class CheckpointSchedule:
    """Says when the next checkpoint is due.

    All processes get the same answer, because each of them contributes its part of the state.

    Args:
        settings: time or number of steps between two checkpoints.
        group: processes that train together.
        device: device of this process.
    """

    def __init__(self, settings: CheckpointSettings, group: ProcessGroup, device: torch.device):
        self._steps = settings.steps
        self._minutes = settings.minutes
        self._group = group
        self._device = device
        self._last_saved_at = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Return whether to save a checkpoint after a step; all processes call this.

        Args:
            step: number of the step: 1, 2, ...
        """
        if self._steps is not None:
            return step % self._steps == 0
        if self._group.world_size == 1:
            return self._is_time()
        # Clocks differ, so rank 0 decides. Asking takes as long as adding a small gradient, so the
        # processes do not ask after every step.
        if step % _STEPS_BETWEEN_AGREEMENTS:
            return False
        return bool(self._group.broadcast(self._is_time(), self._device))

    def note_saved(self) -> None:
        """Count the time to the next checkpoint from now on."""
        self._last_saved_at = time.monotonic()

    def _is_time(self) -> bool:
        if self._minutes is None:
            return False
        return time.monotonic() - self._last_saved_at >= 60 * self._minutes
