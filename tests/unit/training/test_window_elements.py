"""The elements of every window, known from the order and the lengths of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.ranges import Range
from memtrain.loading.row_order import RowOrder
from memtrain.training.window_elements import WindowElements

ORDERS = st.builds(
    RowOrder,
    st.sampled_from([[Range(0, 50)], [Range(3, 21), Range(30, 47)], [Range(9, 10)]]),
    st.integers(1, 6),
    accumulation_steps=st.sampled_from([1, 2, 4]),
    rows_per_block=st.integers(1, 8),
    blocks_per_buffer=st.integers(1, 8),
    shuffled=st.booleans(),
    seed=st.integers(0, 3),
)


@pytest.mark.slow
@given(order=ORDERS, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_the_elements_of_a_slot_are_those_of_its_rows(order, seed):
    lengths = np.random.default_rng(seed).integers(0, 9, 50)
    elements = WindowElements(order, lengths.__getitem__)
    for epoch in (0, 1, 0):
        for window in range(order.windows):
            rows = order.epoch(epoch).window_rows(window)
            expected = [int(lengths[part].sum()) for part in rows]
            assert elements.of_slots(epoch, window) == expected


def test_lengths_of_a_buffer_are_asked_for_once():
    asked = []

    def lengths(rows):
        asked.append(len(rows))
        return np.ones(len(rows), np.int64)

    order = RowOrder([Range(0, 64)], 4, accumulation_steps=2, rows_per_block=4, blocks_per_buffer=4)
    elements = WindowElements(order, lengths)
    for window in range(order.windows):
        assert sum(elements.of_slots(0, window)) == 8
    assert asked == [16] * 4


@pytest.mark.parametrize("total", [2**53 + 1, 2**62])
def test_large_counts_are_exact(total):
    order = RowOrder([Range(0, 2)], 2)
    elements = WindowElements(order, lambda rows: np.array([1, total - 1])[rows])
    assert elements.of_slots(0, 0) == [total]
