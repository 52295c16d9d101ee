"""Selection in several threads: every item is tested once, and none waits in a queue."""

import threading
import tracemalloc

import pytest

from memtrain.system.threaded_selection import select_in_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_wanted_items_are_returned_in_their_order(threads):
    tested = []

    def is_wanted(number):
        tested.append(number)
        return number % 3 == 0

    assert select_in_threads(range(1000), is_wanted, threads) == list(range(0, 1000, 3))
    assert sorted(tested) == list(range(1000))


def test_nothing_is_selected_from_no_items():
    assert select_in_threads([], lambda item: True, 2) == []


def test_threads_run_at_the_same_time():
    both = threading.Barrier(2)
    assert select_in_threads("ab", lambda item: both.wait(10) >= 0, 2) == ["a", "b"]


def test_an_error_ends_all_threads():
    tested = []

    def fail(number):
        tested.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError):
        select_in_threads(range(1000), fail, 2)
    assert len(tested) <= 2


def test_memory_does_not_grow_with_the_number_of_items():
    tracemalloc.start()
    try:
        assert select_in_threads(range(100_000), lambda number: False, 2) == []
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
