"""Takes the next item of a generator in a thread while one is used."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def one_ahead(
    items: Generator[Item, None, None], prepare: Callable[[], None] = lambda: None
) -> Generator[Item, None, None]:
    """Yield the items of a generator, which is closed at the end.

    Args:
        items: the generator. It is used by one thread at a time.
        prepare: is called once, in the thread, before it takes an item.
    """
    try:
        with ThreadPoolExecutor(1, "memtrain batches", prepare) as thread:
            following = thread.submit(next, items, None)
            while (item := following.result()) is not None:
                following = thread.submit(next, items, None)
                yield item
    finally:
        items.close()
