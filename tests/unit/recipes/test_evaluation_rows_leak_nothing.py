"""No byte of a training depends on what stands in its evaluation rows."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.dataset import ImportSettings
from memtrain.config.reading import parse_configuration
from memtrain.data import record_file
from memtrain.data.indexing import index_shards
from memtrain.data.tables.importer import TableImport
from memtrain.planning.split_resolution import resolve_splits

TRAINING_ROWS, ROWS = 30, 40
GENERATOR = np.random.default_rng(0)
NUMBERS = GENERATOR.normal(5, 1, (ROWS, 3)).round(3).astype(str)
NUMBERS[[3, 17, 35], [0, 1, 0]] = ""
WORDS = np.array(["red", "green", "blue"])[np.arange(ROWS) % 3]
LINES = [f"{a},{b},{word},{y}" for (a, b, y), word in zip(NUMBERS.tolist(), WORDS, strict=True)]

MARKED = st.tuples(
    st.sampled_from(["", "1e30", "-1e30", "0", "123.25"]),
    st.sampled_from(["", "nan", "-7e20", "3.5"]),
    st.sampled_from(["red", "green", "", "blue"]),
    st.sampled_from(["1e25", "-5", "0.125"]),
)


def training_of(lines):
    """Return the bytes of the training rows, and the digest of the training part of the recipe."""
    with tempfile.TemporaryDirectory() as folder:
        table, data = Path(folder, "t.csv"), Path(folder, "data.npy")
        table.write_text("\n".join(["a,b,w,y", *lines]) + "\n")
        keys = {
            "path": str(table),
            "features": ["a", "b", "w"],
            "target": ["y"],
            "categories": ["w"],
            "missing": "keep",
        }
        rows = TableImport(ImportSettings.model_validate(keys))
        rows.survey()
        with record_file.create(data, rows.dtype, rows.rows) as writer:
            rows.write(writer)
        configuration = parse_configuration(
            {
                "dataset": {"name": "d", "import": keys},
                "splits": {"one": {"train": [0, TRAINING_ROWS], "evaluate": [TRAINING_ROWS, ROWS]}},
                "training": {"model": "linear", "transform": "standardize", "impute": "mean"},
            }
        )
        (recipe,) = resolve_splits(configuration, data, index_shards(data, 16), rows.source())
        return np.load(data)[:TRAINING_ROWS].tobytes(), recipe.digest("training")


BEFORE = training_of(LINES)


@settings(max_examples=10, deadline=None)
@given(st.lists(MARKED, min_size=ROWS - TRAINING_ROWS, max_size=ROWS - TRAINING_ROWS))
def test_markers_in_evaluation_rows_change_nothing_of_the_training(markers):
    marked = [*LINES[:TRAINING_ROWS], *(",".join(cells) for cells in markers)]
    assert training_of(marked) == BEFORE


def test_a_marker_in_a_training_row_does_change_it():
    _, digest = training_of(["1e3,1,red,1", *LINES[1:]])
    assert digest != BEFORE[1]
