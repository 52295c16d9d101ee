"""Schedules that are made of others: one after the other, or all at once.

In PyTorch's own ``SequentialLR`` and ``ChainedScheduler``, all schedules change the same rates, and
those that derive a rate from the one before go wrong: as the second of two, a MultiplicativeLR goes
on from the last rate of the first; a chain with CosineAnnealingLR is not the product of its parts;
compositions inside of others fail, or give wrong rates. Here, every schedule has rates of its own
and sees those alone, as if it were the only one, and the composition makes the rates of the
optimizer from them. Where PyTorch's compositions are right, these give the same rates.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from memtrain.core.errors import attempt, raise_problems

Builder = Callable[[Optimizer], LRScheduler]


class Composition(LRScheduler, ABC):
    """A schedule that is made of others.

    Args:
        optimizer: optimizer whose learning rates are set.
        builders: build the schedules for the optimizer, each from the rates that it has now.

    Raises:
        UserError: with the problems of all schedules that cannot be built.
    """

    def __init__(self, optimizer: Optimizer, builders: Sequence[Builder]):
        # What the base class does is done by the schedules inside.
        self.optimizer = optimizer
        self.last_epoch = 0
        self.schedules: list[LRScheduler] = []
        self._start = self._values()
        #: What each schedule has set, for each group: its learning rate, and perhaps momentum.
        self._seen: list[list[dict[str, Any]]] = []
        problems: list[str] = []
        for builder in builders:
            self._seen.append([{} for _ in optimizer.param_groups])
            with self._rates_of(len(self._seen) - 1):
                schedule = attempt(problems, builder, optimizer)
            if schedule is not None:
                self.schedules.append(schedule)
        raise_problems(problems)
        self._set_rates()

    def step(self, epoch: int | None = None) -> None:
        """Advance by one step."""
        if epoch is not None:
            raise ValueError("a composed schedule advances one step at a time")
        self.last_epoch += 1
        for number in self._advancing():
            with self._rates_of(number):
                self.schedules[number].step()
        self._set_rates()

    def skip_to(self, step: int) -> None:
        """Go to a step as if those before it had been taken, except for the rates."""
        self.last_epoch = step
        for number, schedule in enumerate(self.schedules):
            skip_to(schedule, self._step_of(number, step))

    def borders(self) -> list[int]:
        """Return the steps at which another schedule begins."""
        return []

    @abstractmethod
    def _advancing(self) -> Sequence[int]:
        """Return the numbers of the schedules that take a step now."""

    def _step_of(self, number: int, step: int) -> int:
        """Return at which of its own steps a schedule is."""
        return step

    @abstractmethod
    def _rates(self) -> list[dict[str, Any]]:
        """Return what the optimizer's groups get now, made of what the schedules have set."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all schedules, and the rates that each has set."""
        return {
            "last_epoch": self.last_epoch,
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "seen": self._seen,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.last_epoch = state_dict["last_epoch"]
        for schedule, state in zip(self.schedules, state_dict["schedules"], strict=True):
            schedule.load_state_dict(state)
        self._seen = state_dict["seen"]
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _values(self) -> list[dict[str, Any]]:
        """Return what the optimizer's groups hold, except for their parameters."""
        return [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.optimizer.param_groups
        ]

    @contextmanager
    def _rates_of(self, number: int) -> Iterator[None]:
        """Give the optimizer the rates of one schedule, and note what it makes of them."""
        groups, seen = self.optimizer.param_groups, self._seen[number]
        self._reset()
        for group, values in zip(groups, seen, strict=True):
            group.update(values)
        before = self._values()
        yield
        for values, old, new in zip(seen, before, self._values(), strict=True):
            changed = {
                key: value for key, value in new.items() if key not in old or value is not old[key]
            }
            values.update(changed)

    def _reset(self) -> None:
        """Give the optimizer what it had at first of everything that a schedule has set."""
        for number, group in enumerate(self.optimizer.param_groups):
            for key in {key for seen in self._seen for key in seen[number]} | {"lr"}:
                if key in self._start[number]:
                    group[key] = self._start[number][key]
                else:
                    group.pop(key, None)

    def _set_rates(self) -> None:
        self._reset()
        for group, values in zip(self.optimizer.param_groups, self._rates(), strict=True):
            group.update(values)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class Succession(Composition):
    """Schedules one after the other, each from its own beginning.

    Args:
        optimizer: optimizer whose learning rates are set.
        builders: build the schedules.
        milestones: steps at which the second, the third, ... schedule begins.
    """

    def __init__(self, optimizer: Optimizer, builders: Sequence[Builder], milestones: list[int]):
        self._milestones = milestones
        super().__init__(optimizer, builders)

    def borders(self) -> list[int]:
        """Return the steps at which another schedule begins."""
        starts = [0, *self._milestones]
        inner = (
            start + border
            for start, schedule in zip(starts, self.schedules, strict=True)
            for border in (schedule.borders() if isinstance(schedule, Composition) else [])
        )
        return sorted({*self._milestones, *inner})

    def _advancing(self) -> list[int]:
        is_first_step = self.last_epoch in self._milestones
        return [] if is_first_step else [self._current()]

    def _step_of(self, number: int, step: int) -> int:
        return max(0, step - [0, *self._milestones][number])

    def _current(self) -> int:
        return bisect_right(self._milestones, self.last_epoch)

    def _rates(self) -> list[dict[str, Any]]:
        return self._seen[self._current()]


class Product(Composition):
    """Schedules all at once: the factors by which they change the rate are multiplied."""

    def borders(self) -> list[int]:
        """Return the steps at which another schedule begins."""
        inside = (each.borders() for each in self.schedules if isinstance(each, Composition))
        return sorted({border for borders in inside for border in borders})

    def _advancing(self) -> range:
        return range(len(self.schedules))

    def _rates(self) -> list[dict[str, Any]]:
        rates: list[dict[str, Any]] = []
        for start, *seen in zip(self._start, *self._seen, strict=True):
            rate = start["lr"]
            for values in seen:
                rate *= values.get("lr", start["lr"]) / start["lr"] if start["lr"] else 1
            rates.append({key: part for values in seen for key, part in values.items()})
            rates[-1]["lr"] = rate
        return rates


def skip_to(schedule: LRScheduler, step: int) -> None:
    """Let a schedule be at a step as if those before it had been taken, except for its rates.

    Schedules that end early look at the number of the step alone, so that one more step tells.
    """
    if isinstance(schedule, Composition):
        schedule.skip_to(step)
    else:
        schedule.last_epoch = max(schedule.last_epoch, step)
