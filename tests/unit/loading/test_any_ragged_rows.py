"""Rows of any lengths: every padded batch is what NumPy finds by slices, whichever reader reads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.training import ShuffleSettings
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Consecutive, Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.block_loader import BlockLoader
from tests.unit.loading.orders import ALL_MEMORY, READERS, drop_from_cache
from tests.unit.loading.test_any_rows_in_files import DTYPES, RECORD, write_stream

pytestmark = pytest.mark.slow

TINY = ShuffleSettings(block_bytes=500, buffer_bytes=5000)

#: Lengths below, at and above those of one chunk, whatever the dtype.
LENGTHS = st.sampled_from([0, 1, 2, 3, 31, 32, 33, 64, 127, 128, 129, 256, 257, 700])


@st.composite
def ragged_values(draw):
    """Values of a stream, the offsets of rows, and where its files begin."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    dtype = draw(st.sampled_from([*DTYPES, RECORD]))
    width = () if dtype is RECORD else draw(st.sampled_from([(), (), (3,), (70,)]))
    lengths = draw(st.lists(LENGTHS, min_size=1, max_size=25))
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    offsets = before + np.concatenate([[0], np.cumsum(lengths)])
    elements = int(offsets[-1]) + after
    raw = rng.integers(0, 100, (elements, *width, 13 if dtype is RECORD else 1)).astype(np.uint8)
    values = (
        raw.reshape(-1).view(RECORD) if dtype is RECORD else raw[..., 0].astype(np.dtype(dtype))
    )
    # Files are mapped where no row crosses their borders.
    places = st.sampled_from(offsets.tolist()) if draw(st.booleans()) else st.integers(0, elements)
    cuts = sorted(draw(st.lists(places, max_size=4)))
    header = draw(st.sampled_from([0, 1, 128, 4096]))
    headers = st.sampled_from([header, header, header + 3, -5, -4096])
    return values, offsets, cuts, [draw(headers) for _ in range(len(cuts) + 1)]


def expected_batch(values, offsets, rows, trim):
    """Return rows as slices, padded one by one."""
    start, end = trim
    found = [values[offsets[row] : offsets[row + 1]] for row in rows]
    found = [one[start : len(one) + end] if len(one) + end > start else one[:0] for one in found]
    lengths = [len(one) for one in found]
    padded = np.zeros((len(rows), max(1, *lengths), *values.shape[1:]), values.dtype)
    for row, one in zip(padded, found, strict=True):
        row[: len(one)] = one
    return padded, lengths


@given(
    stream=ragged_values(),
    trim=st.sampled_from([(0, 0), (1, 0), (0, -1), (2, -3)]),
    reader=st.sampled_from([*READERS, "auto"]),
    reserved_bytes=st.sampled_from([0, ALL_MEMORY]),
    shuffle=st.sampled_from([None, True, TINY]),
    batch_size=st.integers(1, 12),
    is_cold=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_batches_are_slices(
    tmp_path_factory, stream, trim, reader, reserved_bytes, shuffle, batch_size, is_cold
):
    values, offsets, cuts, headers = stream
    folder = tmp_path_factory.mktemp("rows")
    files = write_stream(folder, "words", values, [0, *cuts, len(values)], headers)
    numbers = np.arange(len(offsets) - 1)
    labels = write_stream(folder, "label", numbers, [0, len(numbers)], [0])
    names = values.dtype.names or ("words",)
    views = {
        name: FieldView("words", (name,) if values.dtype.names else (), trim[0], trim[1] or None)
        for name in names
    }
    layout = FilesLayout(
        (
            StoredField("words", files, Ragged.described(offsets, files.elements)),
            StoredField("label", labels, Consecutive(len(numbers))),
        ),
        views | {"label": FieldView("label")},
    )
    if is_cold:
        for path in files.paths:
            drop_from_cache(path)
    loader = BlockLoader(
        MemmapDataset(layout),
        batch_size,
        shuffle=shuffle,
        reader=reader,
        reserved_bytes=reserved_bytes,
        epochs=2,
        tell_rows=True,
    )
    seen = []
    for batch in loader:
        assert list(batch)[:3] == [names[0], f"{names[0]}_lengths", f"{names[0]}_mask"]
        assert list(batch)[-1] == "label"
        assert batch["label"].tolist() == loader.rows.tolist()
        seen += loader.rows.tolist()
        for name in names:
            column = values[name] if values.dtype.names else values
            padded, lengths = expected_batch(column, offsets, loader.rows, trim)
            assert batch[name].is_contiguous()
            found = batch[name].numpy()
            np.testing.assert_array_equal(found, padded.astype(found.dtype))
            assert batch[f"{name}_lengths"].tolist() == lengths
            mask = torch.arange(padded.shape[1]) < batch[f"{name}_lengths"][:, None]
            assert torch.equal(batch[f"{name}_mask"], mask)
    assert sorted(seen) == sorted([*range(len(numbers))] * 2)
