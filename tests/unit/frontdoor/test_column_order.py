"""What is said of a column, against NumPy and plain Python."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.data.tables.files import open_tables
from memtrain.frontdoor.column_order import different_values, is_sorted

parts = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8), min_size=1, max_size=4)


@given(parts, st.booleans())
@settings(max_examples=50, deadline=None)
def test_order_and_number_of_values_across_files(values, rising):
    if rising:
        values = [sorted(part) for part in sorted(values)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.npz" for number in range(len(values))]
        for file, part in zip(files, values, strict=True):
            np.savez(file, day=np.array(part))
        tables = open_tables(files)
        whole = np.concatenate(values)
        assert is_sorted(tables, "day") == bool((np.diff(whole) >= 0).all())
        assert different_values(tables, "day") == len(np.unique(whole))
