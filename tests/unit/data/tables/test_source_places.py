"""Rows of the data file are told as the lines of the files that they were imported from."""

import numpy as np
import pytest

from memtrain.data.tables.source_rows import SourceRows
from tests.unit.data.test_import_data import run_import


@pytest.mark.parametrize("shuffle_once", [None, 3])
@pytest.mark.parametrize("missing", ["keep", "drop"])
def test_every_row_is_found_at_its_line(tmp_path, shuffle_once, missing):
    lines = {}
    for name in ("a.csv", "b.csv"):
        text = "# note\nw,x,y\n"
        for number in range(40):
            line = text.count("\n") + 1
            value = "" if number % 5 == 3 else f"{number + 100 * (name == 'b.csv')}"
            lines[value] = (name, line, number)
            text += f'"two\nlines",{value},1\n' + "\n" * (number % 3)
        (tmp_path / name).write_text(text)
    records, source = run_import(
        tmp_path / "*.csv",
        tmp_path,
        features="x",
        target="y",
        missing={"x": missing},
        shuffle_once=shuffle_once,
        csv={"skip_rows": 1},
    )
    rows = SourceRows(tmp_path / "out" / "data.npy", source)
    assert len(records) == (64 if missing == "drop" else 80)
    for row, value in enumerate(records["features"][:, 0]):
        if not np.isnan(value):
            name, line, number = lines[f"{value:g}"]
            assert rows.place_of(row) == f"{tmp_path}/{name}, line {line} (row {number})"
