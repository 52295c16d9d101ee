"""The threads that read blocks, for all fields of the rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

#: Number of reads under way at a time: a local disk loses nothing by many, and a network file
#: system gains.
_THREADS = 8

#: Number of runs that a thread takes at a time, since handing out a task costs more than a short
#: read.
_RUNS_PER_TASK = 4


class ReaderThreads:
    """A few threads that read, until they are told to stop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "memtrain reader")
        self._stopped = False

    def stop(self) -> None:
        """Let the threads end after the read that is under way."""
        self._stopped = True

    def close(self) -> None:
        """Wait until the threads have ended."""
        self.stop()
        self._pool.shutdown(cancel_futures=True)

    def begin(self, work: Callable[[list[Item]], None], runs: list[Item]) -> list[Future[None]]:
        """Begin to call ``work`` in the threads, with a few runs at a time."""
        return [
            self._pool.submit(work, runs[first : first + _RUNS_PER_TASK])
            for first in range(0, len(runs), _RUNS_PER_TASK)
        ]

    def until_stopped(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items until the threads are told to stop."""
        for item in items:
            if self._stopped:
                return
            yield item


def wait_for(tasks: Sequence[Future[None]]) -> None:
    """Wait for all tasks, and raise the error of the first that failed."""
    errors = [error for error in (task.exception() for task in tasks) if error]
    if errors:
        raise errors[0]
