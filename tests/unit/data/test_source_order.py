"""The rows of a source are found where the import wrote them."""

import numpy as np
import pytest

from memtrain.data.external_shuffle import shuffled
from memtrain.data.record_file import RecordLayout, create, map_rows
from memtrain.data.row_places import SourcePlaces, UniformPlaces
from memtrain.data.source_order import SourceOrder


@pytest.mark.parametrize("rows_at_once", [1000, 7])
@pytest.mark.parametrize("seed", [None, 3])
def test_places_lead_from_the_source_to_the_data_file_and_back(tmp_path, seed, rows_at_once):
    dtype = np.dtype([("number", "<i8"), ("more", "<f4", (3,))])
    records = np.zeros(1000, dtype)
    records["number"] = np.arange(1000)
    with create(tmp_path / "data.npy", dtype, 1000) as writer:
        if seed is None:
            writer.write(0, records)
        else:
            with shuffled(writer, seed, tmp_path / "data.npy", bucket_bytes=4000) as ordered:
                ordered.write(0, records)
    layout = RecordLayout(dtype, (), 1000)
    written = map_rows(tmp_path / "data.npy", layout)["number"]
    places = SourcePlaces(1000)
    if seed is not None:
        places = UniformPlaces.of(seed, 1000, layout.row_bytes, bucket_bytes=4000)
    order = SourceOrder(places)
    sizes = [min(rows_at_once, 1000 - start) for start in range(0, 1000, rows_at_once)]
    places = np.concatenate([order.next_places(size) for size in sizes])
    assert np.array_equal(written[order.rows_at(places)], np.arange(1000))
    some = np.array([5, 999, 0, 500])
    assert np.array_equal(places[written[some]], order.places_of(some))
