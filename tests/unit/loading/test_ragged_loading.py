"""Batches of rows that vary in length are those of the dataset, in the order of the loader."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.block_loader import BlockLoader
from tests.unit.data.test_files_layout import field_of, write_stream

ROWS = 200


def write_rows(folder):
    """Write documents of words over three files, and a label each; return their layout."""
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(0, 30, ROWS))])
    words = generator.integers(0, 60_000, offsets[-1]).astype(np.uint16)
    third = len(words) // 3
    stream = write_stream(folder, words, [0, third, 2 * third, len(words)], name="words")
    labels = write_stream(folder, np.arange(ROWS), [0, ROWS], name="label")
    stored = (
        StoredField("words", stream, Ragged.described(offsets, len(words))),
        field_of(labels, "label"),
    )
    views = {
        "features": FieldView("words", end=-1),
        "target": FieldView("words", start=1),
        "label": FieldView("label"),
    }
    return FilesLayout(stored, views)


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("rows"))


LOADERS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 20),
        "accumulation_steps": st.integers(1, 4),
        "shuffle": st.sampled_from(
            [None, True, ShuffleSettings(block_bytes=300, buffer_bytes=3000)]
        ),
        "seed": st.integers(0, 9),
        "ranges": st.sampled_from([None, [(10, 90), (120, 121), (0, 5)]]),
        "drop_last_window": st.booleans(),
        "epochs": st.integers(1, 2),
    }
)


def same(batch, other):
    return batch.keys() == other.keys() and all(
        torch.equal(batch[name], other[name]) for name in batch
    )


@pytest.mark.slow
@given(arguments=LOADERS, ahead=st.booleans())
@settings(max_examples=40, deadline=None)
def test_batches_are_those_of_the_dataset(layout, arguments, ahead):
    dataset = MemmapDataset(layout)
    loader = BlockLoader(dataset, tell_rows=True, gather_ahead=ahead, **arguments)
    seen = []
    for window in loader.windows():
        rows = loader.rows
        assert len(window) <= arguments["accumulation_steps"]
        for batch in window:
            assert same(batch, dataset.gather(rows[: len(batch["label"])]))
            rows = rows[len(batch["label"]) :]
            seen += batch["label"].tolist()
    order = loader.order
    windows = order.full_windows if arguments["drop_last_window"] else order.windows
    expected = [
        row
        for epoch in range(arguments["epochs"])
        for window in range(windows)
        for rows in order.epoch(epoch).window_rows(window)
        for row in rows.tolist()
    ]
    assert seen == expected


@pytest.mark.slow
@given(arguments=LOADERS, taken=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_a_loader_goes_on_where_it_was(layout, arguments, taken):
    loader = BlockLoader(MemmapDataset(layout), copy=True, **arguments)
    iteration = iter(loader)
    for _, _batch in zip(range(taken), iteration, strict=False):
        pass
    other = BlockLoader(MemmapDataset(layout), copy=True, **arguments)
    other.load_state_dict(loader.state_dict())
    assert all(map(same, list(iteration), list(other)))


@pytest.mark.parametrize("shuffle", [True, ShuffleSettings(block_bytes=300, buffer_bytes=3000)])
def test_processes_share_the_batches(layout, shuffle):
    dataset = MemmapDataset(layout)
    given = {"batch_size": 3, "accumulation_steps": 4, "shuffle": shuffle, "seed": 1, "copy": True}
    whole = [window for window in BlockLoader(dataset, **given).windows() if len(window) == 4]
    parts = [
        list(BlockLoader(dataset, slots=slots, **given).windows())
        for slots in (range(2), range(2, 4))
    ]
    for window, first, second in zip(whole, *parts, strict=False):
        assert all(map(same, window, first + second))


def test_transforms_and_threads(layout):
    def twice(row):
        return row | {"features": row["features"] * 2}

    before = threading.active_count()
    dataset = MemmapDataset(layout, transform=twice)
    loader = BlockLoader(dataset, 7, tell_rows=True)
    for batch in loader:
        plain = MemmapDataset(layout).gather(loader.rows)
        assert torch.equal(batch["features"], 2 * plain["features"])
        assert torch.equal(batch["features_mask"], plain["features_mask"])
        break
    assert threading.active_count() == before


def test_a_file_that_was_cut_is_named(tmp_path):
    layout = write_rows(tmp_path)
    path = layout.stored[0].stream.paths[1]
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(UserError, match=r"words-1\.bin: it .* 100"):
        list(BlockLoader(MemmapDataset(layout), 7))


def test_a_budget_that_is_too_small_is_refused(layout):
    with pytest.raises(UserError, match="memory_budget"):
        BlockLoader(MemmapDataset(layout), 8, memory_budget=1000)
