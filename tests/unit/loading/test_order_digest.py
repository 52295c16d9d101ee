"""The digest of the order in which rows were visited: one digest for each order of rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.training import ShuffleSettings
from memtrain.core.ranges import Range
from memtrain.loading.order_digest import VisitingOrder, digest_of_state, order_digest
from memtrain.loading.row_order import row_order

#: 8 bytes a row: 512 rows a block, four blocks a buffer, so that 5,000 rows lie in lanes.
LANES = ShuffleSettings(block_bytes=4096, buffer_bytes=16384)


def an_order(rows=5000, batch_size=7, slots=4, shuffle=LANES, seed=1, ranges=None):
    ranges = ranges or [Range(0, rows)]
    return row_order(
        ranges,
        row_bytes=8,
        batch_size=batch_size,
        accumulation_steps=slots,
        shuffle=shuffle,
        seed=seed,
    )


def windows_of(order, epochs):
    for epoch in map(order.epoch, range(epochs)):
        for window in range(order.windows):
            yield epoch.window_rows(window)


def visited(order, epochs, processes, stops=()):
    """Visit all windows as several processes, which stop and continue at some windows."""
    steps, batch = order.accumulation_steps, order.batch_size
    share = steps // processes

    def begin():
        return [
            VisitingOrder(range(rank * share, (rank + 1) * share), steps, batch)
            for rank in range(processes)
        ]

    now = begin()
    for number, rows in enumerate(windows_of(order, epochs)):
        if number in stops:
            state = sum(one.state() for one in now)
            now = begin()
            for one in now:
                one.load(state)
        for rank, one in enumerate(now):
            own = rows[rank * share : (rank + 1) * share]
            one.visit(np.concatenate(own), [len(part) for part in own])
    return digest_of_state(sum(one.state() for one in now))


@pytest.mark.parametrize("batch_size", [1, 7, 200, 2000])
@pytest.mark.parametrize("shuffle", [LANES, None, ShuffleSettings()])
def test_the_digest_is_that_of_the_order(batch_size, shuffle):
    order = an_order(batch_size=batch_size, shuffle=shuffle)
    assert visited(order, 2, 1) == order_digest(order, 2, drop_last_window=False)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    rows=st.integers(1, 3000),
    batch_size=st.integers(1, 100),
    processes=st.sampled_from([1, 2, 4]),
    stops=st.sets(st.integers(1, 60), max_size=4),
)
def test_processes_and_stops_change_nothing(rows, batch_size, processes, stops):
    order = an_order(rows, batch_size)
    assert visited(order, 2, processes, stops) == order_digest(order, 2, drop_last_window=False)


def test_other_orders_have_other_digests():
    digests = [
        order_digest(order, epochs, drop)
        for order, epochs, drop in [
            (an_order(), 2, False),
            (an_order(), 2, True),
            (an_order(), 1, False),
            (an_order(seed=2), 2, False),
            (an_order(ranges=[Range(0, 100), Range(101, 5001)]), 2, False),
            (an_order(slots=2), 2, False),
        ]
    ]
    assert len(set(digests)) == len(digests)


def test_one_row_in_place_of_another_is_seen():
    order = an_order(200)
    one, other = (VisitingOrder(range(4), 4, 7) for _ in range(2))
    for number, rows in enumerate(windows_of(order, 1)):
        sizes = [len(part) for part in rows]
        rows = np.concatenate(rows)
        one.visit(rows, sizes)
        if number == 3:
            rows = rows[[1, 0, *range(2, len(rows))]]
        other.visit(rows, sizes)
    assert digest_of_state(one.state()) != digest_of_state(other.state())


def test_a_state_is_a_tensor_that_a_checkpoint_takes():
    order = an_order(100)
    visiting = VisitingOrder(range(4), 4, 7)
    for rows in windows_of(order, 1):
        visiting.visit(np.concatenate(rows), [len(part) for part in rows])
    assert visiting.state().dtype == torch.int64
