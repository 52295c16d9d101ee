"""Whether several processes bring more than they cost, as a training itself measures it."""

import logging

from memtrain.training.performance import TrainingCost

#: Steps and seconds of gradients and exchanges after which a training can tell.
_STEPS, _SECONDS = 100, 3.0

_log = logging.getLogger(__name__)


def describe_imbalance(
    gradient_seconds: float, exchanging_seconds: float, steps: int, processes: int
) -> str | None:
    """Return why fewer processes would train faster; None if that is not certain.

    One process would compute the gradients of all, which takes at most as many times as long as
    those of one of them. Where the exchange takes longer than this would add, it is not worth it.

    Args:
        gradient_seconds: time in which this process computed gradients.
        exchanging_seconds: time in which it exchanged them, waiting for others included.
        steps: optimizer steps in this time.
        processes: number of processes.
    """
    if processes == 1 or steps < _STEPS or gradient_seconds + exchanging_seconds < _SECONDS:
        return None
    if exchanging_seconds <= (processes - 1) * gradient_seconds:
        return None
    computing, exchanging = (
        f"{seconds / steps * 1e3:.2g} ms" for seconds in (gradient_seconds, exchanging_seconds)
    )
    return (
        f"{processes} processes cost more than they bring: in a step, each computes gradients for "
        f"{computing} and exchanges them for {exchanging}. One process would train the same model "
        "faster (the launcher of the rule train); windows of more rows would give them more to do"
    )


class ProcessBalance:
    """Tells once, in the log, that several processes cost more than they bring.

    Args:
        processes: number of processes.
        is_told: whether this process may tell it.
    """

    def __init__(self, processes: int, is_told: bool):
        self._processes = processes
        self._is_told = is_told

    def see(self, cost: TrainingCost) -> str | None:
        """Return what is known so far, and tell it if it was not told before."""
        found = describe_imbalance(
            cost.gradient_seconds, cost.exchanging_seconds, cost.steps, self._processes
        )
        if found is not None and self._is_told:
            self._is_told = False
            _log.warning(found)
        return found
