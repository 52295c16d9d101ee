"""Recipes of rows that vary in length, however their borders are given."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.data.files_description import describe_files
from memtrain.data.files_layout import FilesLayout
from memtrain.data.indexing import index_shards
from memtrain.loading.order_digest import declared_order
from memtrain.planning.split_resolution import resolve_splits
from tests.unit.data.formats.test_megatron import write

HERE = "tests.unit.planning.test_ragged_recipes"
WORDS, DOCUMENTS = 12, 60


class NextWord(nn.Module):
    """Tells the next word from a word and from those before it."""

    def __init__(self, out_features):
        super().__init__()
        self.words = nn.Embedding(out_features, 6)
        self.outputs = nn.Linear(6, out_features)

    def forward(self, features):
        return self.outputs(self.words(features.long()).cumsum(1))


class LooksAhead(NextWord):
    """Sees what comes behind the end of a row."""

    def forward(self, features):
        return super().forward(features) + features.shape[1]


class Average(nn.Module):
    """A number for a row of numbers: the mean of what is there."""

    def __init__(self):
        super().__init__()
        self.outputs = nn.Linear(2, 1)

    def forward(self, features, lengths):
        return self.outputs(features.sum(1) / lengths.clamp(min=1)[:, None])


@pytest.fixture(autouse=True)
def documents(tmp_path, monkeypatch):
    """Write documents of 1 to 29 words that end in 0, in two files, and return them."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(8)
    found = [
        np.append(generator.integers(1, WORDS, length), 0).astype("u2")
        for length in generator.integers(0, 29, DOCUMENTS)
    ]
    np.concatenate(found[:20]).tofile("words-1.bin")
    np.concatenate(found[20:]).tofile("words-2.bin")
    lengths = np.array([len(one) for one in found])
    np.save("lengths.npy", lengths.astype("i4"))
    np.save("offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))
    return found


def files(borders, **ragged):
    rows = {"target": "next", **ragged, "borders": borders}
    return {"path": "words-*.bin", "dtype": "uint16", "ragged": rows, "classes": WORDS}


def recipe_of(settings, **training):
    """Return the recipe of a split on rows in files, whose description is written."""
    chosen = {
        "model": f"{HERE}:NextWord",
        "loss": "CrossEntropyLoss",
        "normalize": "elements",
        "transform": "none",
        "batch_size": 4,
        **training,
    }
    configuration = parse_configuration(
        {
            "dataset": {"name": "d", "files": settings},
            "splits": {"a": {"train": [0, 30], "evaluate": [40, 50]}},
            "training": chosen,
        }
    )
    assert configuration.dataset.files is not None
    layout, source = describe_files(configuration.dataset.files)
    layout.write("rows.json")
    (recipe,) = resolve_splits(configuration, "rows.json", index_shards("rows.json", 16), source)
    return recipe


@pytest.mark.parametrize("borders", [{"lengths": "lengths.npy"}, {"delimiter": 0}])
def test_the_same_rows_have_the_same_recipe(borders):
    found, expected = recipe_of(files(borders)), recipe_of(files({"offsets": "offsets.npy"}))
    assert found.training == expected.training
    assert found.evaluation == expected.evaluation


def test_statistics_are_those_of_the_elements(documents):
    training = recipe_of(files({"lengths": "lengths.npy"})).training
    for field, part in (("features", slice(None, -1)), ("target", slice(1, None))):
        values = np.concatenate([one[part] for one in documents[:30]]).astype("f8")
        found = training.statistics_of(field)
        assert found.count.tolist() == [len(values)]
        assert np.allclose(
            [found.mean[0], found.standard_deviation[0]], [values.mean(), values.std()]
        )
        assert found.values is not None
        assert found.values.tolist() == np.bincount(values.astype(int)).tolist()
    assert training.task.ragged == ["features", "target"]
    assert training.has_sequences


def test_rows_of_other_lengths_are_other_rows(documents):
    settings = files({"lengths": "lengths.npy"})
    before = recipe_of(settings).training.pieces
    lengths = np.load("lengths.npy")
    lengths[3] += 1
    lengths[4] -= 1
    np.save("lengths.npy", lengths)
    after = recipe_of(settings).training.pieces
    assert [one == other for one, other in zip(before, after, strict=True)] == [
        False,
        True,
        True,
    ]


def test_rows_that_are_added_change_no_other_recipe(documents):
    settings = files({"delimiter": 0})
    before = recipe_of(settings)
    np.append(np.ones(5000, "u2"), 0).astype("u2").tofile("words-3.bin")
    after = recipe_of(settings)
    assert after.training == before.training
    assert after.training.row_bytes == -(-2 * sum(map(len, documents[:30])) // 30)


def test_each_file_may_be_a_row(documents):
    for number, one in enumerate(documents):
        one.tofile(f"words-{number}.bin")
    recipe = recipe_of(files("file"))
    assert recipe.training.pieces == recipe_of(files({"delimiter": 0})).training.pieces


def test_a_model_that_sees_the_padding_is_refused():
    with pytest.raises(UserError, match="other outputs for a row that is padded further"):
        recipe_of(files({"delimiter": 0}), model=f"{HERE}:LooksAhead")


def test_a_compiled_model_is_refused():
    with pytest.raises(UserError, match=r"compile: rows vary in length"):
        recipe_of(files({"delimiter": 0}), compile=True)


def recordings(**field):
    """Return settings of recordings of two numbers a moment, with a number for each of them."""
    generator = np.random.default_rng(1)
    values = generator.normal(size=(int(np.load("lengths.npy").sum()), 2)) * 3 + 5
    np.save("values.npy", values.astype("f4"))
    np.save("scores.npy", generator.normal(size=DOCUMENTS).astype("f4"))
    rows = {"borders": {"lengths": "lengths.npy"}}
    return {
        "fields": {
            "moments": {"path": "values.npy", "ragged": rows, **field},
            "score": {"path": "scores.npy", "target": True},
        }
    }


def test_a_row_that_varies_beside_one_that_does_not():
    settings = recordings()
    recipe = recipe_of(
        settings,
        model=f"{HERE}:Average",
        loss="MSELoss",
        normalize="rows",
        transform="standardize",
    )
    values = np.load("values.npy")[: np.load("lengths.npy")[:30].sum()]
    statistics = recipe.training.statistics_of("features")
    assert np.allclose(statistics.mean, values.mean(axis=0), rtol=1e-6)
    assert recipe.training.task.features == ["moments[0]", "moments[1]"]
    assert recipe.training.task.ragged == ["features"]


def test_the_row_of_a_wrong_value_is_told():
    settings = recordings()
    values, lengths = np.load("values.npy"), np.load("lengths.npy")
    values[lengths[:21].sum() + 1, 1] = np.nan
    np.save("values.npy", values)
    lengths[21] = max(lengths[21], 2)
    with pytest.raises(UserError, match="row 21, field features, column 1"):
        recipe_of(settings, model=f"{HERE}:Average", loss="MSELoss", normalize="rows")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": {"length": 3}}, "rows are either `windows` or `ragged`"),
        ({"part": "0:2"}, "`part` names places that every row has"),
    ],
)
def test_settings_that_do_not_go_together(changes, message):
    with pytest.raises(UserError, match=message):
        recipe_of(recordings(**changes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"offsets": "lengths.npy"}, r"lengths.npy: row \d+ begins at \d+ and ends at \d+"),
        ({"lengths": "offsets.npy"}, "but the files have"),
        ({"delimiter": 4000}, "none of the .* elements is 4000"),
        ("documents", "does not say where documents begin"),
        ({"ends": "x.npy"}, r"the borders of rows are `documents`, `file`"),
    ],
)
def test_borders_that_are_wrong(settings, message):
    with pytest.raises(UserError, match=message):
        recipe_of(files(settings))


def test_an_end_that_is_missing_is_no_lost_row():
    np.save("offsets.npy", np.load("offsets.npy")[:-1])
    with pytest.raises(UserError, match=r"the rows are the elements 0 to .*, but the files have"):
        recipe_of(files({"offsets": "offsets.npy"}))
    np.save("lengths.npy", np.load("lengths.npy")[1:])
    with pytest.raises(UserError, match="lengths add up to all elements"):
        recipe_of(files({"lengths": "lengths.npy"}))


def test_columns_of_ragged_rows_are_refused():
    settings = recordings()["fields"]["moments"] | {"features": "0:1", "target": "1:"}
    with pytest.raises(UserError, match="names columns, and rows has ragged rows"):
        recipe_of(settings)


def test_the_order_of_windows_is_that_of_their_size_in_the_files():
    """Features and target share most of their elements, which lie in the files once."""
    np.arange(40_000, dtype="u2").tofile("words-1.bin")
    windows = {"length": 16, "target": "next"}
    recipe = recipe_of(
        {"path": "words-1.bin", "dtype": "uint16", "windows": windows, "classes": 40_000},
        shuffle={"block_bytes": "4KiB", "buffer_bytes": "8KiB"},
    ).training
    layout = FilesLayout.read("rows.json")
    assert layout.row_bytes == 17 * 2
    assert declared_order(recipe).rows_per_block == 4096 // (17 * 2)


def test_documents_that_the_files_know_are_rows(documents):
    write(Path.cwd(), [[one] for one in documents])
    settings = files("documents") | {"path": "corpus.bin", "dtype": None}
    found, expected = recipe_of(settings).training, recipe_of(files({"delimiter": 0})).training
    assert found.task == expected.task
    # Rows that lie in one file are cut into shards elsewhere than in two, behind the first.
    assert found.pieces[0] == expected.pieces[0]
    assert np.allclose(found.statistics_of("target").m2, expected.statistics_of("target").m2)
