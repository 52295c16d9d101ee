"""Sequences in which every stretch has the shares of all classes.

A class with n of N places takes p n / N of the first p places, on average. In the sequence of
Tijdeman ("The chairman assignment problem", 1980), the number that it takes differs from that by
less than 1 for every p and every class, so that any stretch, whatever its borders, has less than 2
members of a class more or less than its share.

Each member of a class gets the first place at which it may stand and the last one. The places are
then given in order, each to the member among those that may stand there whose last place comes
first.
"""

import math
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

import numpy as np

#: Places that are given in one go.
_PLACES_AT_ONCE = 1 << 16


def fair_sequence(counts: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the classes of all places in order, uint16 (places,), some thousands at a time.

    Args:
        counts: number of members of each class, 1 or more. Of classes that are alike, the one that
            is named first comes first.
    """
    # After each of these periods, every class has exactly its share.
    periods = math.gcd(*counts)
    period = [count // periods for count in counts]
    length = sum(period)
    if length > _PLACES_AT_ONCE:
        for _ in range(periods):
            yield from _one_period(period)
        return
    [once] = _one_period(period)
    together = _PLACES_AT_ONCE // length
    for start in range(0, periods, together):
        yield np.tile(once, min(together, periods - start))


def _one_period(counts: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the sequence, where the counts have no common divisor."""
    if len(counts) == 1:
        yield np.zeros(1, np.uint16)
        return
    places = sum(counts)
    slack = 2 * len(counts) - 2
    divisors = [slack * count for count in counts]

    def first_place(member: int, number: int) -> int:
        return -(-places * (member * slack + 1) // divisors[number])

    def last_place(member: int, number: int) -> int:
        return places * ((member + 1) * slack - 1) // divisors[number]

    given = [0] * len(counts)
    waiting = [(first_place(0, number), number) for number in range(len(counts))]
    heapify(waiting)
    ready: list[tuple[int, int]] = []
    for start in range(0, places, _PLACES_AT_ONCE):
        sequence = []
        for place in range(start + 1, min(start + _PLACES_AT_ONCE, places) + 1):
            while waiting and waiting[0][0] <= place:
                number = heappop(waiting)[1]
                heappush(ready, (last_place(given[number], number), number))
            number = heappop(ready)[1]
            sequence.append(number)
            given[number] += 1
            if given[number] < counts[number]:
                heappush(waiting, (first_place(given[number], number), number))
        yield np.array(sequence, np.uint16)
