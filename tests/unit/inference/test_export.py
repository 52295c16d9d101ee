"""Exported models: programs that need PyTorch alone, and predict what the model predicts."""

import hashlib
import json
import sys
import zipfile

import numpy as np
import pytest
import torch
import yaml

import export
import memtrain
from memtrain.core.errors import UserError
from memtrain.data.source import FEATURES
from memtrain.inference.decoded_rows import decoded
from memtrain.inference.row_files import open_rows_of_files
from tests.unit.inference.imported_models import (
    COLUMNS,
    ROWS,
    SIZES,
    TRAINED,
    TRAINING,
    ImportedModel,
)

pytestmark = pytest.mark.slow

MODULE = """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.inside = nn.Linear(in_features, in_features)
        self.out = nn.Linear(in_features, out_features)
        self.norm = nn.BatchNorm1d(in_features)

    def forward(self, features):
        return self.out(features + self.norm(self.inside(features)).relu())

class Branching(Residual):
    def forward(self, features):
        return super().forward(features) if features.sum() > 0 else self.out(features)

def halved(row):
    return row | {"features": row["features"] / 2}
halved.batched = True
"""

PRICE = COLUMNS | {"target": ["price"]}
KIND = COLUMNS | {"target": ["kind"], "categories": ["colour", "kind"]}
SCALED = TRAINING | {"target": "standardize"}

MEDIAN_OF_SIZE = np.median([float(size) for size in SIZES[:TRAINED] if size]).astype(np.float32)

#: Without counts of 2^40, which are too large for a model that nothing scales.
SMALL = PRICE | {"features": ["colour", "size"], "dtypes": {}}
WITHOUT_COUNT = SCALED | {"impute": {"size": "median"}, "encode": {}}

#: Columns and training of models of every kind.
MODELS = {
    "mlp": (PRICE, SCALED),
    "linear": (PRICE, SCALED | {"model": "linear"}),
    "scaled": (
        SMALL,
        WITHOUT_COUNT | {"transform": {"name": "scale", "factor": 0.5, "offset": 1.0}},
    ),
    "rates": (PRICE, TRAINING | {"loss": "PoissonNLLLoss"}),
    "doubles": (PRICE | {"dtypes": COLUMNS["dtypes"] | {"price": "float64"}}, SCALED),
    "classes": (KIND, TRAINING | {"loss": "CrossEntropyLoss"}),
    "scores": (KIND, TRAINING | {"loss": "MultiMarginLoss"}),
    "own": (PRICE, SCALED | {"model": "own_for_export:Residual"}),
    "own transform": (SMALL, WITHOUT_COUNT | {"transform": "own_for_export:halved"}),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_for_export.py").write_text(MODULE)
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, own):
    """Return a function that trains a model once."""
    made = {}

    def trained(name, *settings):
        if name not in made:
            columns, training = settings or MODELS[name]
            made[name] = ImportedModel(tmp_path_factory.mktemp("model"), columns, training)
        return made[name]

    return trained


def exported(trained, folder, *arguments):
    """Export a model, and return the loaded program and its description."""
    assert export.main([str(trained.folder), str(folder), *arguments]) == 0
    program = torch.export.load(folder / "model.pt2").module()
    return program, json.loads((folder / "export.json").read_text())


def evaluation_features(trained, model):
    """Return the features of the evaluation rows as the data file has them, encoded."""
    opened = open_rows_of_files(model, str(trained.data), [(TRAINED, ROWS)])
    records = np.concatenate([piece.copy() for piece in opened.read()])
    return model.encoder(decoded(records))[FEATURES]


@pytest.mark.parametrize("name", MODELS)
def test_programs_predict_what_evaluations_write_for_any_number_of_rows(trained, tmp_path, name):
    one = trained(name)
    program, description = exported(one, tmp_path / "out", "--data", str(one.data))
    features = evaluation_features(one, memtrain.load_model(one.folder))
    if description["input"]["outside"]:
        assert description["input"]["outside"] == ["impute", "own_for_export:halved"]
        features = np.where(np.isnan(features), MEDIAN_OF_SIZE, features) / 2
    expected = one.evaluated["prediction"]
    for rows in (1, 2, 7, 1000):
        chosen = np.resize(np.arange(ROWS - TRAINED), rows)
        found = program(torch.from_numpy(features[chosen].copy()))
        assert found.dtype == torch.from_numpy(expected).dtype
        np.testing.assert_allclose(found, expected[chosen], rtol=2e-5, atol=2e-5)
    assert str(features.dtype) == description["input"]["dtype"]
    assert description["input"]["shape"] == ["rows", *features.shape[1:]]
    assert f"{ROWS - TRAINED} evaluation rows" in description["compared"]["rows"]
    assert description["compared"]["largest_difference"] <= 1e-5 * abs(expected).max()


def test_a_copied_split_is_tried_on_drawn_rows_and_its_files_are_the_same_each_time(
    trained, tmp_path, capsys
):
    one = trained("mlp")
    _, description = exported(one, tmp_path / "first")
    assert "drawn from the statistics" in capsys.readouterr().out
    exported(one, tmp_path / "second")
    exported(one, tmp_path / "second")  # An earlier export is replaced.
    for name in ("export.json", "README.md", "model.pt2"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    digest = hashlib.sha256((tmp_path / "first/model.pt2").read_bytes()).hexdigest()
    assert description["program"]["digest"] == f"sha256:{digest}"
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}


def test_a_program_has_neither_paths_nor_pickles(trained, tmp_path):
    exported(trained("mlp"), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out/model.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b".py" in content for content in contents.values())
    assert not any(b'"use_pickle": true' in content for content in contents.values())
    assert [content for name, content in contents.items() if "sample_inputs" in name] == [b""]


def test_whoever_has_the_description_can_encode_words(trained, tmp_path):
    """The codes of words follow from the description alone, without memtrain."""
    one = trained("mlp")
    _, description = exported(one, tmp_path / "out")
    (colour,) = [
        column for column in description["encoding"]["columns"] if column["kind"] == "one_hot"
    ]
    digests = [hashlib.blake2b(word.encode(), digest_size=8).digest() for word in ("blue", "red")]
    codes = [int.from_bytes(digest, "little", signed=True) for digest in digests]
    assert set(codes) <= set(colour["codes"])
    names = description["input"]["features"]
    places = dict(zip(colour["codes"], colour["places"], strict=True))
    assert names[places[codes[0]]] == "colour=blue"


def test_the_card_has_metadata_results_and_what_was_not_tested(trained, tmp_path):
    one = trained("mlp")
    exported(one, tmp_path / "out", "--license", "mit")
    text = (tmp_path / "out/README.md").read_text()
    _, head, body = text.split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["library_name"] == "memtrain"
    assert metadata["license"] == "mit"
    assert metadata["pipeline_tag"] == "tabular-regression"
    for part in (
        "It was not evaluated",  # The copy of the folder has no evaluation.json.
        "| training | 60 | [0, 60) |",
        "Words of colour that no training row had: 1 evaluation row",
        "Everything: no row was held out" if "no evaluation" in body else "Features outside",
        "target: standardize",
        json.loads((tmp_path / "out/export.json").read_text())["made_from"]["model"],
    ):
        assert part in body


def test_models_that_branch_on_values_are_refused_in_a_sentence(trained, tmp_path):
    one = trained("branching", PRICE, SCALED | {"model": "own_for_export:Branching"})
    with pytest.raises(UserError, match=r"torch\.export does not take the model own_for_export:Br"):
        export.main([str(one.folder), str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_an_export_that_was_killed_halfway_is_made_again(trained, tmp_path):
    exported(trained("mlp"), tmp_path / "out")
    expected = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out/export.json").unlink()
    (tmp_path / "out/.README.md.abcdefgh.part").touch()
    exported(trained("mlp"), tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!.]*")}
    assert found == expected


def test_folders_with_other_files_are_not_touched(trained, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("all of it")
    with pytest.raises(UserError, match="holds other files"):
        export.main([str(trained("mlp").folder), str(tmp_path / "out")])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own/README.md").write_text("of mine")
    with pytest.raises(UserError, match=r"holds other files \(README\.md\)"):
        export.main([str(trained("mlp").folder), str(tmp_path / "own")])
    with pytest.raises(UserError, match=r"--data: x\.npy is not there"):
        export.main([str(trained("mlp").folder), str(tmp_path / "new"), "--data", "x.npy"])
