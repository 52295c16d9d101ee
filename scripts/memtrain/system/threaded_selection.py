"""Selects items by a slow test, such as a look at a disk, in several threads."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import chain
from typing import TypeVar

Item = TypeVar("Item")


def select_in_threads(
    items: Sequence[Item], is_wanted: Callable[[Item], bool], threads: int
) -> list[Item]:
    """Return the items that pass a test, in their order.

    No item waits in a queue: a thread that has tested one item takes the next. Memory therefore
    does not grow with the number of items. After an error, every thread ends with its current item.

    Args:
        items: items to test.
        is_wanted: test, which is called once with each item, by several threads at a time. Its
            errors are raised here.
        threads: number of threads.
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
    """Hands out the numbers 0, 1, ..., each to a single thread."""

    def __init__(self, count: int):
        self._left = iter(range(count))
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """Return the next number; None if there is none left."""
        with self._lock:
            return next(self._left, None)

    def end(self) -> None:
        """Give out no more numbers."""
        with self._lock:
            self._left = iter(())
