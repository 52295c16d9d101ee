"""The laws of the row order, and its randomness, cost and quality."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memtrain.core.ranges import Range
from memtrain.loading.blocks import rows_per_block
from memtrain.loading.row_order import RowOrder


@st.composite
def disjoint_ranges(draw):
    bounds = draw(st.lists(st.integers(0, 400), min_size=2, max_size=8, unique=True))
    bounds = sorted(bounds)[: len(bounds) // 2 * 2]
    pieces = [Range(*pair) for pair in zip(bounds[::2], bounds[1::2], strict=True)]
    return draw(st.permutations(pieces))


row_orders = st.builds(
    RowOrder,
    ranges=disjoint_ranges(),
    batch_size=st.integers(1, 20),
    accumulation_steps=st.integers(1, 8),
    rows_per_block=st.integers(1, 40),
    blocks_per_buffer=st.integers(1, 12),
    shuffled=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)
epochs = st.integers(0, 50)


def rows_of(order: RowOrder, epoch: int) -> list[int]:
    return [
        row
        for window in range(order.windows)
        for rows in order.epoch(epoch).window_rows(window)
        for row in rows.tolist()
    ]


def configured(order: RowOrder) -> list[int]:
    return [row for piece in order.ranges for row in range(*piece)]


@pytest.mark.slow
@given(row_orders, epochs)
def test_every_row_comes_exactly_once_an_epoch(order, epoch):
    assert sorted(rows_of(order, epoch)) == sorted(configured(order))


@pytest.mark.slow
@given(row_orders, epochs)
def test_every_window_but_the_last_is_full(order, epoch):
    windows = [order.epoch(epoch).window_rows(window) for window in range(order.windows)]
    sizes = [[len(rows) for rows in window] for window in windows]
    assert sizes[:-1] == [[order.batch_size] * order.accumulation_steps] * (len(sizes) - 1)
    assert sizes == order.micro_batch_sizes(0, order.windows).tolist()
    assert order.micro_batches() == sum(size > 0 for window in sizes for size in window)
    assert len(windows) == -(-order.rows // order.rows_per_window)


@pytest.mark.slow
@given(row_orders, epochs, st.sampled_from([1, 2, 4, 8]), st.integers(1, 3))
def test_processes_share_every_window(order, epoch, processes, slots_each):
    order = replace(order, accumulation_steps=processes * slots_each)
    shares = [range(first * slots_each, (first + 1) * slots_each) for first in range(processes)]
    whole = order.epoch(epoch)
    for number in range(order.buffers):
        alone = whole.buffer(number)
        parts = [whole.buffer(number, share) for share in shares]
        cuts = [np.split(part.rows(), np.cumsum(part.sizes)[:-1]) for part in [alone, *parts]]
        of_one, *of_parts = cuts
        for window in range(len(alone.sizes)):
            for slot in range(order.accumulation_steps):
                process, place = divmod(slot, slots_each)
                part = of_parts[process][window * slots_each + place]
                assert part.tolist() == of_one[window * len(shares) * slots_each + slot].tolist()


@pytest.mark.slow
@given(row_orders, epochs, st.sampled_from([2, 4, 8]))
def test_only_blocks_at_lane_borders_are_read_by_two_processes(order, epoch, processes):
    order = replace(order, accumulation_steps=processes * 2, shuffled=True)
    assume(order.in_lanes)
    readers: dict[int, set[int]] = {}
    read_rows = 0
    for process in range(processes):
        share = range(process * 2, process * 2 + 2)
        for number in range(order.buffers):
            buffer = order.epoch(epoch).buffer(number, share)
            read_rows += int(buffer.runs.lengths.sum())
            for start, end in zip(
                buffer.runs.starts.tolist(), buffer.runs.ends.tolist(), strict=True
            ):
                assert start // order.rows_per_block == (end - 1) // order.rows_per_block
                # Within a file, pieces of two ranges may share a cell of the grid.
                piece = next(p for p, r in enumerate(order.ranges) if r.start <= start < r.end)
                readers.setdefault((piece, start // order.rows_per_block), set()).add(process)
    assert read_rows == order.rows
    assert sum(len(owners) - 1 for owners in readers.values()) <= processes - 1


@given(row_orders, epochs)
def test_the_order_reads_what_it_uses(order, epoch):
    for number in range(order.buffers):
        buffer = order.epoch(epoch).buffer(number)
        runs = zip(buffer.runs.starts.tolist(), buffer.runs.ends.tolist(), strict=True)
        read = [row for run in runs for row in range(*run)]
        assert sorted(buffer.rows().tolist()) == sorted(read)
        assert len(read) <= order.rows_per_buffer


@given(row_orders, epochs)
def test_unshuffled_rows_keep_the_order_of_the_ranges(order, epoch):
    order = replace(order, shuffled=False)
    assert rows_of(order, epoch) == configured(order)


def test_blocks_and_buffers_do_not_change_what_fits_into_one():
    small = RowOrder(
        [Range(3, 500)], 10, accumulation_steps=4, rows_per_block=5, blocks_per_buffer=100, seed=8
    )
    large = replace(small, rows_per_block=64, blocks_per_buffer=1024)
    assert rows_of(small, 2) == rows_of(large, 2)


IN_LANES = RowOrder(
    [Range(0, 1000), Range(2000, 2500)],
    10,
    accumulation_steps=4,
    rows_per_block=16,
    blocks_per_buffer=8,
)
IN_ONE_BUFFER = replace(IN_LANES, rows_per_block=1024, blocks_per_buffer=1024)


@pytest.mark.parametrize("order", [IN_LANES, IN_ONE_BUFFER])
def test_epochs_and_seeds_have_orders_of_their_own(order):
    # Seeds that are added up would make (seed 0, epoch 1) and (seed 1, epoch 0) the same.
    orders = [
        tuple(rows_of(replace(order, seed=seed), epoch)) for seed in range(3) for epoch in range(3)
    ]
    assert len(set(orders)) == len(orders)


def test_lanes_and_buffers_are_mixed_by_streams_of_their_own():
    epoch = IN_LANES.epoch(0)
    mixes = [
        tuple(np.argsort(epoch.buffer(number, range(lane, lane + 1)).permutation[:30]).tolist())
        for number in range(2)
        for lane in range(4)
    ]
    assert len(set(mixes)) == len(mixes)


def test_the_order_of_rows_that_fit_the_buffer_is_uniform():
    order = RowOrder([Range(0, 10)], 1)
    first = [order.epoch(epoch).window_rows(0)[0][0] for epoch in range(5000)]
    counts = np.bincount(first)
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(500))


@pytest.mark.slow
def test_rows_of_blocks_are_mixed_evenly():
    order = RowOrder([Range(0, 40)], 2, accumulation_steps=2, rows_per_block=4, blocks_per_buffer=4)
    assert order.in_lanes
    counts = np.zeros(40)
    for epoch in range(4000):
        counts[np.concatenate(order.epoch(epoch).window_rows(3))] += 1
    assert np.all(np.abs(counts - 400) < 5 * np.sqrt(400))


PRINT_ORDER = """
import json
from memtrain.core.ranges import Range
from memtrain.loading.row_order import RowOrder
order = RowOrder(
    [Range(0, 1000), Range(2000, 2500)],
    10,
    accumulation_steps=4,
    rows_per_block=16,
    blocks_per_buffer={blocks},
    seed=12,
)
epoch = order.epoch(3)
print(json.dumps([rows.tolist() for w in range(order.windows) for rows in epoch.window_rows(w)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [8, 1024])
def test_another_process_has_the_same_order(repository, blocks):
    environment = {"PYTHONPATH": str(repository / "scripts")}
    program = [sys.executable, "-c", PRINT_ORDER.format(blocks=blocks)]
    printed = json.loads(subprocess.check_output(program, env=environment, text=True))
    order = replace(IN_LANES, blocks_per_buffer=blocks, seed=12)
    assert [row for rows in printed for row in rows] == rows_of(order, 3)


@given(st.integers(1, 1 << 20), st.integers(1, 3000))
def test_blocks_are_whole_pages_where_they_can_be(block_bytes, row_bytes):
    rows = rows_per_block(block_bytes, row_bytes)
    assert rows == 1 or rows * row_bytes <= block_bytes
    rows_of_whole_pages = np.lcm(4096, row_bytes) // row_bytes
    if rows_of_whole_pages * row_bytes <= block_bytes:
        assert rows * row_bytes % 4096 == 0
        assert rows * row_bytes > block_bytes - np.lcm(4096, row_bytes)


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "steps"), [(64, 1), (16, 8), (128, 4)])
@pytest.mark.parametrize("blocks", [32, 128])
def test_the_variance_of_a_batch_on_sorted_rows_is_as_stated(batch_size, steps, blocks):
    order = RowOrder(
        [Range(0, 1 << 17)],
        batch_size,
        accumulation_steps=steps,
        rows_per_block=32,
        blocks_per_buffer=blocks,
        seed=5,
    )
    means = [
        np.mean(np.concatenate(order.epoch(epoch).window_rows(window)))
        for epoch in range(4)
        for window in range(0, order.full_windows, max(1, order.full_windows // 150))
    ]
    uniform = (order.rows**2 - 1) / 12 / order.rows_per_window
    measured = np.mean((np.array(means) - (order.rows - 1) / 2) ** 2) / uniform
    assert measured == pytest.approx(order.batch_variance, rel=0.3)


def test_rows_in_one_buffer_have_the_variance_of_a_uniform_shuffle():
    assert IN_ONE_BUFFER.batch_variance == 1.0
    assert replace(IN_ONE_BUFFER, shuffled=False).batch_variance == 40.0


BILLION = """
import re, sys, time
from pathlib import Path
from memtrain.core.ranges import Range
from memtrain.loading.row_order import RowOrder
import numpy.random

def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

order = RowOrder(
    [Range(0, 10**9)], 1024, accumulation_steps=4, rows_per_block=512, blocks_per_buffer=1024
)
before, start = peak_mib(), time.process_time()
order.epoch(7).window_rows(int(sys.argv[1]))
print(time.process_time() - start, peak_mib() - before)
"""


@pytest.mark.slow
def test_the_order_of_a_billion_rows_takes_less_than_100_mib_at_any_position(repository):
    environment = {"PYTHONPATH": str(repository / "scripts")}
    for window in (0, 240_000):
        program = [sys.executable, "-c", BILLION, str(window)]
        _, mib = subprocess.check_output(program, env=environment, text=True).split()
        # The blocks of the epoch alone are 31 MiB.
        assert 31 < float(mib) < 100
