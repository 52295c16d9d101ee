"""Splits that start from others mean the same inputs, or say which weights they take."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from memtrain.config.dataset import ImportSettings
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.data.indexing import index_shards
from memtrain.data.record_file import create
from memtrain.data.tables.importer import TableImport
from memtrain.planning.split_resolution import resolve_splits

#: The first rows have the words a and b, the next ones a and c, the last ones b and a.
WORDS = ["a", "b"] * 4 + ["a", "c"] * 4 + ["b", "a"] * 4
TABLE = {"w": WORDS, "x": np.arange(24.0), "y": np.arange(24.0)}


@pytest.fixture
def problems(tmp_path):
    """Return a function that resolves a base and a split that starts from it."""

    def problems(train, initial, **training):
        parquet.write_table(pa.table(TABLE), tmp_path / "t.parquet")
        given = {
            "path": str(tmp_path / "t.parquet"),
            "features": ["w", "x"],
            "target": ["y"],
            "categories": ["w"],
        }
        rows = TableImport(ImportSettings.model_validate(given))
        rows.survey()
        data = tmp_path / "data.npy"
        with create(data, rows.dtype, rows.rows) as writer:
            rows.write(writer)
        own = {"initial": {"split": "base", **initial}}
        splits = {"base": {"train": [0, 8]}, "tuned": {"train": train, "training": own}}
        configuration = parse_configuration(
            {
                "dataset": {"name": "d", "import": given},
                "splits": splits,
                "training": {"model": "linear", **training},
            }
        )
        try:
            resolve_splits(configuration, data, index_shards(data, 8), rows.source())
        except UserError as error:
            return list(error.problems)
        return []

    return problems


def test_results_of_the_workflow_are_no_files_of_ones_own(problems, tmp_path):
    model = tmp_path / "splits/base/model.safetensors"
    (problem,) = problems([16, 24], {"split": None, "path": str(model)})
    assert f"splits.tuned.training.initial.path: found {model}, the model of the spl" in problem
    assert "Write `initial: {split: base}` in its place" in problem
    table = tmp_path / "splits/base/predictions.npy"
    problem, _ = problems([16, 24], {}, reads=[str(table)])
    assert "reads: found" in problem
    assert "copy the file to another folder" in problem


@pytest.mark.parametrize("encode", ["one_hot", "codes"])
def test_inputs_with_other_words_are_refused_unless_weights_are_chosen(problems, encode):
    settings = {"encode": {"w": encode}}
    (problem,) = problems([8, 16], {}, **settings)
    if encode == "one_hot":
        assert "base has 3 inputs, and tuned has 3; only base has w=b; only tuned has" in problem
    else:
        assert "the same code stands for another word" in problem
    assert problem.startswith("splits.tuned.training.initial: ")
    assert problems([8, 16], {"exclude": ["output.weight"]}, **settings) == []
    assert problems([8, 16], {"keys": ["output.bias"]}, **settings) == []
    assert problems([16, 24], {}, **settings) == []


def test_more_words_are_told_as_inputs_and_as_shapes(problems):
    found = problems([4, 20], {})
    assert len(found) == 2
    assert "base has 3 inputs, and tuned has 4; only tuned has w=c." in found[0]
    assert "output.weight of the model of base is [1, 3], and output.weight of this" in found[1]
