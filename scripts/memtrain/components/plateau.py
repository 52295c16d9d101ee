"""A schedule that lowers the learning rate where the loss of the validations stops falling."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, ReduceLROnPlateau


class Plateau(LRScheduler):
    """PyTorch's ``ReduceLROnPlateau``, stepped after each validation, perhaps after a warmup.

    PyTorch's compositions refuse that schedule, since its steps are not those of the optimizer.

    Args:
        optimizer: optimizer whose learning rates are set.
        rise: the warmup, which advances with every optimizer step; None for none.
        reduction: the schedule that the validations advance, once the warmup is over.
    """

    def __init__(self, optimizer: Optimizer, rise: LinearLR | None, reduction: ReduceLROnPlateau):
        # What the base class does is done by the schedules inside.
        self.optimizer = optimizer
        self.last_epoch = 0
        self._rise = rise
        self._reduction = reduction

    def step(self, epoch: int | None = None) -> None:
        """Advance the warmup by one optimizer step."""
        if epoch is not None:
            raise ValueError("this schedule advances one step at a time")
        self.last_epoch += 1
        if self._rise is not None and self.last_epoch <= self._rise.total_iters:
            self._rise.step()

    def validated(self, loss: float) -> None:
        """Advance by one validation; those within the warmup do not count."""
        if self._rise is None or self.last_epoch >= self._rise.total_iters:
            self._reduction.step(loss)

    def get_last_lr(self) -> list[Any]:
        """Return the learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both schedules."""
        return {
            "last_epoch": self.last_epoch,
            "rise": None if self._rise is None else self._rise.state_dict(),
            "reduction": self._reduction.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.last_epoch = state_dict["last_epoch"]
        if self._rise is not None:
            self._rise.load_state_dict(state_dict["rise"])
        self._reduction.load_state_dict(state_dict["reduction"])
