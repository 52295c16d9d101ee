"""Pieces of rows become batches of one size, whatever the pieces, and rows that vary are padded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.inference.rebatching import rebatched, without_first

rows_of_any_length = st.lists(st.lists(st.integers(0, 255), max_size=5), min_size=1, max_size=30)


def ragged(rows):
    values = np.array([value for row in rows for value in row], "u1")
    return RaggedFeatures(values, np.array([len(row) for row in rows], np.int64))


def as_lists(features):
    ends = np.cumsum(features.lengths)[:-1]
    return [part.tolist() for part in np.split(features.values, ends)]


@given(rows_of_any_length, st.integers(1, 9), st.integers(1, 9), st.integers(0, 35))
def test_batches_have_one_size_and_all_rows_but_the_first(rows, piece, size, left_out):
    for whole, content in ((ragged(rows), as_lists), (np.arange(len(rows)), list)):
        pieces = (whole[at : at + piece] for at in range(0, len(rows), piece))
        batches = list(rebatched(without_first(pieces, left_out), size))
        kept = content(whole)[left_out:]
        assert [row for batch in batches for row in content(batch)] == kept
        assert all(len(batch) == size for batch in batches[:-1])


@given(rows_of_any_length)
def test_rows_are_padded_with_zeros(rows):
    features = ragged(rows)
    arrays = features.decoded()
    longest = max(1, *map(len, rows), 1)
    assert arrays["features"].tolist() == [row + [0] * (longest - len(row)) for row in rows]
    assert arrays["features_mask"].sum(1).tolist() == arrays["features_lengths"].tolist()
    for place in range(len(features.values)):
        row = features.row_of(place)
        assert rows[row][place - features.start_of(row)] == features.values[place]
