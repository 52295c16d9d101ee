"""No byte of a training depends on what stands in its evaluation rows."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from memtrain.config.dataset import ImportSettings
from memtrain.config.reading import parse_configuration
from memtrain.config.running import RunningSettings
from memtrain.core.ranges import Range
from memtrain.data import record_file
from memtrain.data.indexing import index_shards
from memtrain.data.tables.importer import TableImport
from memtrain.planning.split_resolution import resolve_splits
from memtrain.training.run_context import RunContext
from memtrain.training.trainer import Trainer

TRAINING_ROWS, ROWS = 30, 40
#: The last of the training rows are withdrawn.
WITHDRAWN = Range(27, 30)
GENERATOR = np.random.default_rng(0)
NUMBERS = GENERATOR.normal(5, 1, (ROWS, 3)).round(3).astype(str)
NUMBERS[[3, 17, 35], [0, 1, 0]] = ""
COUNTS = np.where(np.arange(ROWS) % 7 == 4, "", (np.arange(ROWS) % 5).astype(str))
COLOURS = np.array(["red", "green", "blue"])[np.arange(ROWS) % 3]
WORDS = np.where(np.arange(ROWS) % 9 == 5, "", COLOURS)
LINES = [
    f"{a},{b},{count},{word},{word},{y}"
    for (a, b, y), count, word in zip(NUMBERS.tolist(), COUNTS, WORDS, strict=True)
]

NEW_WORDS = st.sampled_from(["red", "green", "", "blue", "aardvark", "zebra"])
MARKED = st.tuples(
    st.sampled_from(["", "1e30", "-1e30", "0", "123.25"]),
    st.sampled_from(["", "nan", "-7e20", "3.5"]),
    st.sampled_from(["", "9007199254740991", "-4", "3"]),
    NEW_WORDS,
    NEW_WORDS,
    st.sampled_from(["1e25", "-5", "0.125"]),
)

MEAN = {"a": "mean", "b": "mean", "n": "mean"}
MEDIAN = {
    "a": {"with": "median", "indicator": True},
    "b": "median",
    "n": {"with": "median", "indicator": True},
    "w": "category",
}
MOST_FREQUENT = dict.fromkeys("abnwv", "most_frequent")


def training_of(lines, impute):
    """Return the digest of the training part of the recipe, and the weights that it gives."""
    with tempfile.TemporaryDirectory() as folder:
        table, data = Path(folder, "t.csv"), Path(folder, "data.npy")
        table.write_text("\n".join(["a,b,n,w,v,y", *lines]) + "\n")
        keys = {
            "path": str(table),
            "features": ["a", "b", "n", "w", "v"],
            "target": ["y"],
            "categories": ["w", "v"],
            "dtypes": {"n": "int64", "b": "float64"},
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
                "training": {
                    "model": "linear",
                    "transform": "standardize",
                    "target": "standardize",
                    "impute": impute,
                    "encode": {"v": "codes", "w": {"name": "one_hot", "rare": 2}},
                    "epochs": 2,
                    "device": "cpu",
                },
            }
        )
        (recipe,) = resolve_splits(
            configuration, data, index_shards(data, 16), rows.source(), [WITHDRAWN]
        )
        context = RunContext(running=RunningSettings())
        weights = Trainer(recipe, str(data), context).run().weights
        return recipe.digest("training"), save(weights)


@pytest.mark.slow
@pytest.mark.parametrize("impute", [MEAN, MEDIAN, MOST_FREQUENT])
def test_markers_in_rows_that_are_not_trained_on_change_nothing_of_the_training(impute):
    before = training_of(LINES, impute)

    @settings(max_examples=6, deadline=None)
    @given(st.lists(MARKED, min_size=ROWS - WITHDRAWN.start, max_size=ROWS - WITHDRAWN.start))
    def check(markers):
        marked = [*LINES[: WITHDRAWN.start], *(",".join(cells) for cells in markers)]
        assert training_of(marked, impute) == before

    check()


@pytest.mark.parametrize("line", ["1e3,1,1,red,red,1", "1,1,1,pink,red,1", "1,1,,red,red,1"])
def test_a_marker_in_a_training_row_does_change_it(line):
    changed = training_of([line, *LINES[1:]], MEDIAN)
    digest, weights = training_of(LINES, MEDIAN)
    assert changed[0] != digest
    assert changed[1] != weights
