"""Selects items by a test that waits for a disk, in several threads."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import chain
from typing import TypeVar

Item = TypeVar("Item")


def selected(items: Sequence[Item], is_wanted: Callable[[Item], bool], threads: int) -> list[Item]:
    """Return the items that are wanted, in their order.

    Nothing waits in a queue: a thread that is done with one item takes the next, so that memory
    does not grow with their number. With the first error all threads end, each after its item.

    Args:
        items: any number of them.
        is_wanted: called once with each, by several threads at a time; what it raises is raised.
        threads: how many.
    """
    turns = _Turns(len(items))

    def select() -> list[int]:
        return [number for number in iter(turns.take, None) if is_wanted(items[number])]

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(select) for _ in range(threads)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            turns.end()
    numbers = chain.from_iterable(one.result() for one in running)
    return [items[number] for number in sorted(numbers)]


class _Turns:
    """Numbers from 0 on, each for one thread."""

    def __init__(self, count: int):
        self._left, self._lock = iter(range(count)), threading.Lock()

    def take(self) -> int | None:
        """Return the next number; None after the last."""
        with self._lock:
            return next(self._left, None)

    def end(self) -> None:
        """Let no number follow."""
        with self._lock:
            self._left = iter(())
