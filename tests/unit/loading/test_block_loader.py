"""The block loader, as users of PyTorch call it."""

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.components.transforms import Scale
from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.field_files import FieldFiles
from tests.unit.loading.orders import READERS, ROWS, SMALL, drop_from_cache, rows_of

loaders = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 400),
        "accumulation_steps": st.integers(1, 5),
        "shuffle": st.sampled_from(
            [
                SMALL,
                ShuffleSettings(block_bytes=1000, buffer_bytes=9000),
                ShuffleSettings(block_bytes=86016, buffer_bytes=90000),
                None,
                True,
            ]
        ),
        "seed": st.integers(0, 9),
        "ranges": st.sampled_from([None, [(10, 2000)], [(2000, 2999), (5, 6), (100, 900)]]),
        "drop_last_window": st.booleans(),
        "epochs": st.integers(1, 2),
        "gather_ahead": st.booleans(),
    }
)


@pytest.mark.slow
@given(loaders, st.booleans())
@settings(max_examples=60)
def test_all_readers_give_the_bytes_of_the_row_order(records, arguments, cached):
    dataset = MemmapDataset(records)
    given_by = []
    for reader in READERS:
        if not cached:
            drop_from_cache(records)
        loader = BlockLoader(dataset, reader=reader, copy=True, **arguments)
        batches = list(loader)
        assert len(batches) == len(loader)
        given_by.append(batches)
    order, steps = loader.order, arguments["accumulation_steps"]
    windows = order.full_windows if arguments["drop_last_window"] else order.windows
    expected = [
        rows.tolist()
        for epoch in range(arguments["epochs"])
        for window in range(windows)
        for rows in order.epoch(epoch).window_rows(window)
        if len(rows)
    ]
    assert [rows_of(batch) for batch in given_by[0]] == expected
    assert steps >= 1
    for batches in zip(*given_by, strict=True):
        reference = dataset.gather(rows_of(batches[0]))
        for batch in batches:
            assert batch.keys() == reference.keys()
            assert all(torch.equal(batch[name], reference[name]) for name in batch)


@pytest.mark.slow
@given(loaders, st.sampled_from(READERS), st.data())
@settings(max_examples=40)
def test_an_iteration_restored_anywhere_equals_one_that_goes_on(records, arguments, reader, data):
    def make():
        return BlockLoader(MemmapDataset(records), reader=reader, **arguments)

    positions = data.draw(st.sets(st.integers(0, len(make())), min_size=1, max_size=8))
    assert_restoring_equals_going_on(make, sorted({*positions, 0, len(make())}))


def assert_restoring_equals_going_on(make, positions):
    """Take the state at positions of an iteration, restore each, and compare what follows.

    The idea is that of grain's ``assert_equal_output_after_checkpoint``.
    """
    loader = make()
    states, batches = [loader.state_dict()], []
    for batch in loader:
        batches.append(rows_of(batch))
        states.append(loader.state_dict())
    assert len(batches) == len(loader)
    next_pass = [rows_of(batch) for batch in loader]
    for position in positions:
        restored = make()
        restored.load_state_dict(states[position])
        following = []
        for number, batch in enumerate(restored, position + 1):
            following.append(rows_of(batch))
            assert restored.state_dict() == states[number]
        assert following == batches[position:]
        assert [rows_of(batch) for batch in restored] == next_pass


@pytest.mark.slow
@given(loaders)
@settings(max_examples=20)
def test_windows_are_the_batches_of_the_optimizer_steps(records, arguments):
    loader = BlockLoader(MemmapDataset(records), **arguments)
    windows = [[rows_of(batch) for batch in window] for window in loader.windows()]
    again = BlockLoader(MemmapDataset(records), **arguments)
    assert [rows for window in windows for rows in window] == [rows_of(batch) for batch in again]
    full = [
        len(window) for window in windows if sum(map(len, window)) == loader.order.rows_per_window
    ]
    assert set(full) <= {arguments["accumulation_steps"]}
    if arguments["epochs"] == 1:
        assert len(windows) - len(full) <= 1


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("shuffle", [SMALL, True, None])
def test_processes_take_their_slots_of_every_window(records, processes, shuffle):
    def windows(slots):
        loader = BlockLoader(
            MemmapDataset(records), 10, shuffle=shuffle, seed=3, accumulation_steps=8, slots=slots
        )
        return [[rows_of(batch) for batch in window] for window in loader.windows()]

    each = 8 // processes
    shares = [windows(range(first, first + each)) for first in range(0, 8, each)]
    together = [
        list(itertools.chain(*parts)) for parts in itertools.zip_longest(*shares, fillvalue=[])
    ]
    assert together == windows(None)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_window_stays_while_the_next_is_taken(records, ahead):
    loader = BlockLoader(
        MemmapDataset(records),
        16,
        shuffle=SMALL,
        accumulation_steps=4,
        epochs=3,
        gather_ahead=ahead,
    )
    last = []
    for window in loader.windows():
        assert [batch["features"][:, 0].tolist() for batch, _ in last] == [was for _, was in last]
        time.sleep(0.001)
        last = [(batch, batch["target"][:, 0].tolist()) for batch in window]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("batch_size", [7, 16, 100])
def test_a_batch_stays_while_the_next_window_is_taken(records, reader, batch_size):
    loader = BlockLoader(
        MemmapDataset(records),
        batch_size,
        shuffle=SMALL,
        accumulation_steps=4,
        reader=reader,
        epochs=3,
    )
    held = []
    for batch in loader:
        held.append((batch, rows_of(batch), batch["features"].clone()))
        batch, rows, features = held[max(0, len(held) - 5)]
        assert rows_of(batch) == rows
        assert torch.equal(batch["features"], features)


def test_batches_are_used_again_unless_they_are_copies(records):
    dataset = MemmapDataset(records)
    first = {
        copy: [
            batch["features"].data_ptr()
            for batch in BlockLoader(dataset, 500, epochs=20, copy=copy)
        ]
        for copy in (False, True)
    }
    assert len(set(first[False])) < len(first[False]) / 2
    kept = list(BlockLoader(dataset, 16, shuffle=SMALL, copy=True))
    assert sorted(row for batch in kept for row in rows_of(batch)) == list(range(ROWS))


@pytest.mark.parametrize("reader", READERS)
def test_rows_in_order_are_views_with_the_same_layout_from_every_reader(records, reader):
    layouts = []
    for dropped in (True, False):
        if dropped:
            drop_from_cache(records)
        loader = BlockLoader(
            MemmapDataset(records),
            100,
            shuffle=None,
            reader=reader,
            ranges=[(7, 1000), (1500, 2990)],
        )
        layouts.append(
            [
                (value.data_ptr() % 64, value.stride(), value.tolist())
                for batch in loader
                for value in batch.values()
            ]
        )
    assert layouts[0] == layouts[1]
    # Of records, a view steps over the other fields.
    assert layouts[0][0][1] == (21, 1)


def test_writing_to_a_view_changes_no_file(plain):
    before = Path(plain).read_bytes()
    for batch in BlockLoader(MemmapDataset(plain), 100, shuffle=None, reader="mmap"):
        batch.zero_()
    assert Path(plain).read_bytes() == before


@pytest.mark.parametrize("batch_size", [5, 16, 48])
def test_every_tensor_begins_on_a_cache_line(records, batch_size):
    for shuffle in (SMALL, True):
        for batch in BlockLoader(MemmapDataset(records), batch_size, shuffle=shuffle):
            assert all(value.data_ptr() % 64 == 0 for value in batch.values())


class Doubled:
    def __init__(self, batched):
        self.batched, self.calls = batched, []

    def __call__(self, row):
        self.calls.append(row["features"].shape)
        return row | {"features": row["features"] * 2}


@pytest.mark.parametrize("shuffle", [SMALL, None])
def test_transforms_run_on_the_batch_where_they_can(records, shuffle):
    batched, single = Doubled(batched=True), Doubled(batched=False)
    batches = [
        list(
            BlockLoader(MemmapDataset(records, transform=transform), 64, shuffle=shuffle, copy=True)
        )
        for transform in (Scale(factor=2), batched, single)
    ]
    assert set(batched.calls) == {(64, 20), (ROWS % 64, 20)}
    assert single.calls == [(20,)] * ROWS
    for scaled, doubled, one_by_one in zip(*batches, strict=True):
        assert torch.equal(scaled["features"], doubled["features"])
        assert torch.equal(scaled["features"], one_by_one["features"])
        assert torch.equal(scaled["features"][:, 0], 2 * scaled["target"][:, 0])


def test_plain_files_of_any_number_type_and_raw_files(tmp_path):
    values = np.arange(600, dtype=">i2").reshape(200, 3)
    np.save(tmp_path / "a.npy", values)
    values.tofile(tmp_path / "raw")
    for dataset in (
        MemmapDataset(tmp_path / "a.npy"),
        MemmapDataset(tmp_path / "raw", ">i2", (200, 3)),
        MemmapDataset(tmp_path / "a.npy", start_index=50, end_index=150),
    ):
        for reader in READERS:
            drop_from_cache(dataset.filename)
            for shuffle in (None, ShuffleSettings(block_bytes=64, buffer_bytes=128)):
                loader = BlockLoader(dataset, 7, shuffle=shuffle, reader=reader, copy=True)
                rows = torch.cat(list(loader))
                assert rows.dtype == torch.int16
                expected = torch.stack([dataset[i] for i in range(len(dataset))])
                assert torch.equal(rows[rows[:, 0].argsort()], expected)


def test_a_budget_that_is_too_small_is_an_error_that_names_sizes_that_fit(records):
    with pytest.raises(UserError) as caught:
        BlockLoader(MemmapDataset(records), 50, shuffle=SMALL, memory_budget=10_000)
    message = str(caught.value)
    assert "memory_budget" in message
    assert "shuffle.buffer_bytes" in message
    loader = BlockLoader(MemmapDataset(records), 50, shuffle=SMALL)
    assert BlockLoader(MemmapDataset(records), 50, shuffle=SMALL, memory_budget=loader.memory_bytes)


def test_states_of_another_order_are_refused(records):
    dataset = MemmapDataset(records)
    state = BlockLoader(dataset, 50, shuffle=SMALL, seed=1).state_dict()
    for other in (
        BlockLoader(dataset, 50, shuffle=SMALL, seed=2),
        BlockLoader(dataset, 51, shuffle=SMALL, seed=1),
        BlockLoader(dataset, 50, shuffle=None, seed=1),
        BlockLoader(dataset, 50, shuffle=SMALL, seed=1, ranges=[(0, 100)]),
    ):
        with pytest.raises(ValueError, match="another order"):
            other.load_state_dict(state)
    same = BlockLoader(dataset, 50, shuffle=SMALL, seed=1, reader="pread")
    same.load_state_dict(state)
    with pytest.raises(ValueError, match="version"):
        same.load_state_dict(state | {"version": 0})
    with pytest.raises(ValueError, match="batches"):
        same.load_state_dict(state | {"batches": 10**6})


@pytest.mark.parametrize(
    "arguments",
    [
        {"ranges": [(0, ROWS + 1)]},
        {"ranges": [(0, 10), (9, 12)]},
        {"slots": range(2, 5), "accumulation_steps": 4},
    ],
)
def test_arguments_that_make_no_sense(records, arguments):
    with pytest.raises(ValueError, match=r"found|lie within|are in two"):
        BlockLoader(MemmapDataset(records), 10, **arguments)


def test_unknown_readers_are_refused(records):
    with pytest.raises(UserError, match="auto, mmap, pread and direct"):
        BlockLoader(MemmapDataset(records), 10, reader="fast")


def test_the_loader_describes_its_reader_and_its_order(records):
    text = BlockLoader(MemmapDataset(records), 10, shuffle=SMALL).describe()
    assert "reader: mmap" in text
    assert "local file system" in text
    assert "blocks of 49 rows" in text


@pytest.mark.parametrize("rows", [0, 1])
def test_a_file_without_rows_or_with_one(tmp_path, rows):
    np.save(tmp_path / "few.npy", np.ones((rows, 3), np.float32))
    for shuffle in (True, None, ShuffleSettings(block_bytes=1, buffer_bytes=1)):
        loader = BlockLoader(MemmapDataset(tmp_path / "few.npy"), 4, shuffle=shuffle)
        assert [len(batch) for batch in loader] == [1] * rows


def test_an_epoch_of_one_window_is_not_overwritten_by_the_next(records, monkeypatch):
    """The window is larger than the shuffle buffer, so that every epoch has its own blocks."""
    monkeypatch.setattr(FieldFiles, "is_cached", lambda self, starts, ends: False)
    loader = BlockLoader(
        MemmapDataset(records),
        ROWS,
        shuffle=ShuffleSettings(block_bytes=256, buffer_bytes=512),
        reader="pread",
        epochs=30,
        tell_rows=True,
    )
    for batch in loader:
        assert rows_of(batch) == loader.rows.tolist()
