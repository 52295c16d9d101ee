"""Which rows, in which order."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memtrain.ranges import Range
from memtrain.row_order import epoch_rows, micro_batches


@st.composite
def disjoint_ranges(draw):
    bounds = draw(st.lists(st.integers(0, 300), min_size=2, max_size=8, unique=True))
    bounds = sorted(bounds)[: len(bounds) // 2 * 2]
    return [Range(*pair) for pair in zip(bounds[::2], bounds[1::2], strict=True)]


@given(disjoint_ranges(), st.integers(0, 2**63 - 1), st.integers(0, 50), st.integers(1, 40))
def test_every_row_comes_exactly_once_an_epoch(ranges, seed, epoch, batch_size):
    batches = micro_batches(epoch_rows(ranges, seed, epoch), batch_size)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    expected = [row for piece in ranges for row in range(*piece)]
    assert sorted(np.concatenate(batches).tolist()) == expected


def test_epochs_and_seeds_have_orders_of_their_own():
    ranges = [Range(0, 1000)]
    # Seeds that are added up would make (seed 0, epoch 1) and (seed 1, epoch 0) the same.
    orders = [tuple(epoch_rows(ranges, seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == len(orders)


def test_the_order_is_uniform():
    first = [epoch_rows([Range(0, 10)], 0, epoch)[0] for epoch in range(5000)]
    counts = np.bincount(first)
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(500))


def test_another_process_has_the_same_order(repository):
    program = (
        "from memtrain.row_order import epoch_rows; from memtrain.ranges import Range;"
        "print(epoch_rows([Range(0, 50), Range(70, 99)], 12, 3).tolist())"
    )
    environment = {"PYTHONPATH": str(repository / "scripts")}
    printed = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert printed.strip() == str(epoch_rows([Range(0, 50), Range(70, 99)], 12, 3).tolist())
