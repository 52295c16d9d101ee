"""Models on the disk are found by the rows that they were trained on, whatever records are left."""

import hashlib
import json
import shutil
import struct
from dataclasses import replace

import pytest

import lineage
from memtrain.config.results import ResultsLayout
from memtrain.core.ranges import Range
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.models_on_disk import ModelsOnDisk
from memtrain.lineage.records.run_record import VALIDATION_ROWS, FileUse
from memtrain.recipes.model_file import ModelOrigin, with_origin
from memtrain.system import canonical_json
from tests.unit.lineage.lineage_records import Records, digest_of, file, piece, rows

DATA = "results/d/data.npy"
CONFIG = """
dataset: {name: d, mock: {rows: 100, features: 2, seed: 1}}
splits: {a: {train: [0, 10], evaluate: [90, 100]}, b: {train: [0, 10], evaluate: [90, 100]}}
"""


class Project:
    """A project with the splits a (rows 0 to 9), b (20 to 29) and old, which has left config.yaml.

    Nothing is recorded.
    """

    data = DATA

    def __init__(self, folder):
        self.folder, self.results = folder, ResultsLayout(folder / "results/d")
        self.records = Records(self.results.records)
        for split, start in (("a", 0), ("b", 20), ("old", 0)):
            self.train(split, self.resolve(split, start))
        (folder / "config.yaml").write_text(CONFIG)
        shutil.copy(folder / "config.yaml", self.results.configuration)

    def resolve(self, split, start):
        """Write a recipe for ten rows, and return its digest."""
        pieces = [{"start": start, "end": start + 10, "digest": digest_of(f"{split}{start}")}]
        training = {"rows": {"ranges": [[start, start + 10]], "pieces": pieces}, "of": split}
        recipe = {"training": training, "rows_per_shard": 20, "shards": {"1": digest_of("s1")}}
        self.results.split(split).folder.mkdir(parents=True, exist_ok=True)
        canonical_json.write(self.results.split(split).recipe, recipe)
        return canonical_json.digest(training)

    def train(self, split, recipe):
        """Write a model that says that it was trained by a recipe."""
        header = json.dumps({split: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})
        content = struct.pack("<Q", len(header)) + header.encode()
        origin = ModelOrigin(made_from={"recipe": recipe} if recipe else {})
        self.results.split(split).model.write_bytes(with_origin(content, origin))

    def record_training(self, split, start, recipe=None):
        model = self.results.split(split).model
        digest = f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
        path = str(model.relative_to(self.folder))
        used = rows(self.data, (start, start + 10), pieces=[piece(0, start, start + 10, "1")])
        wrote = FileUse(path, "model", model.stat().st_size, 0, digest)
        self.records.add("train", [used], [wrote], split, parameters={"recipe": recipe})

    def models(self):
        index = LineageIndex(self.results.records, self.folder)
        return ModelsOnDisk(index, results=self.results, project=self.folder, configured=["a", "b"])

    def holding(self, row):
        return [model.split for model in self.models().trained_on([Range(row, row + 1)])]

    def unknown(self):
        return [model.split for model in self.models().unknown]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_a_model_without_a_record_is_known_by_the_recipe_beside_it(project):
    assert project.holding(5) == ["a", "old"]
    assert project.holding(25) == ["b"]
    assert project.holding(50) == project.unknown() == []
    models = project.models()
    assert [one.split for one in models.trained_on_digest(digest_of("b20"))] == ["b"]
    assert [one.split for one in models.trained_on_digest(digest_of("s1"))] == ["b"]


def test_a_recipe_that_was_made_again_does_not_speak_for_the_model(project):
    project.resolve("b", 40)
    assert project.holding(45) == project.holding(25) == []
    assert project.unknown() == ["b"]


def test_a_record_of_a_training_by_the_same_recipe_tells_the_rows(project):
    recipe = project.resolve("b", 20)
    project.resolve("b", 40)
    project.record_training("b", 20, recipe)
    assert project.holding(25) == ["b"]
    assert project.unknown() == []


def test_a_model_without_a_statement_is_known_by_the_digest_of_the_file(project):
    project.train("b", None)
    assert project.unknown() == ["b"]
    project.record_training("b", 60)
    assert project.holding(65) == ["b"]
    project.results.split("b").model.write_bytes(b"something else")
    assert project.unknown() == ["b"]


def test_a_model_that_was_copied_over_another_is_known_by_its_own_recipe(project):
    shutil.copy(project.results.split("a").model, project.results.split("b").model)
    assert project.holding(5) == ["a", "b", "old"]
    assert project.holding(25) == []


@pytest.mark.parametrize("size", [0, 5, 60])
def test_a_damaged_model_has_unknown_rows(project, size):
    model = project.results.split("b").model
    model.write_bytes(model.read_bytes()[:size])
    assert project.unknown() == ["b"]


@pytest.mark.parametrize(
    "change",
    [
        {"rows_per_shard": 0},
        {"rows_per_shard": "many"},
        {"shards": 7},
        {"training": {"rows": {"ranges": 5, "pieces": []}}},
        {"training": {"rows": {"ranges": [[20, 30]], "pieces": ["x"]}}},
        {"training": None},
        None,
    ],
)
def test_a_damaged_recipe_tells_nothing(project, change):
    recipe = project.results.split("b").recipe
    content = json.loads(recipe.read_text())
    recipe.write_text(json.dumps(None if change is None else content | change))
    assert project.unknown() == ["b"]


def test_deleted_models_are_not_named(project):
    project.record_training("b", 20)
    project.results.split("b").model.unlink()
    assert project.holding(25) == project.unknown() == []


def answer(capsys, *query):
    assert lineage.main(list(query)) == 0
    return capsys.readouterr().out


def test_impact_names_every_model_that_lies_on_the_disk(project, capsys):
    project.resolve("b", 40)
    shown = answer(capsys, "impact", "--rows", "5")
    a, b, old = (f"results/d/splits/{name}/model.safetensors" for name in ("a", "b", "old"))
    (line_of_b,) = [line for line in shown.splitlines() if b in line]
    (line_of_old,) = [line for line in shown.splitlines() if old in line]
    assert a in shown
    assert "nothing tells which rows it was trained on; train it again, or delete it" in line_of_b
    assert "no longer configured: delete results/d/splits/old" in line_of_old
    assert answer(capsys, "impact", "--rows", "5", "--targets") == f"--forcerun {a} {b}\n"


def test_impact_follows_a_model_without_a_record_to_what_was_made_from_it(project, capsys):
    model = project.results.split("b").model
    digest = f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    path = str(model.relative_to(project.folder))
    evaluation = project.results.split("b").evaluation
    evaluation.write_text("{}")
    read = FileUse(path, "model", 1, 0, digest)
    wrote = file(str(evaluation.relative_to(project.folder)), "evaluation")
    project.records.add("evaluate", [read], [wrote], "b")
    found = json.loads(answer(capsys, "impact", "--rows", "25", "--json"))
    assert {one["path"]: one["depth"] for one in found} == {path: 1, wrote.path: 2}


def test_impact_lists_no_file_that_is_gone(project, capsys):
    project.record_training("b", 20)
    project.results.split("b").model.unlink()
    assert "splits/b" not in answer(capsys, "impact", "--rows", "25")
    assert "(overwritten or deleted since)" in answer(capsys, "impact", "--rows", "25", "--all")


def test_rows_of_validations_reach_the_model_and_are_called_so(project, capsys):
    """By the recipe beside the model, and by the record of the training."""
    path = project.results.split("a").recipe
    recipe = canonical_json.read(path, made_by="resolve_splits")
    pieces = [{"start": 40, "end": 50, "digest": digest_of("v")}]
    recipe["training"]["validation"] = {"ranges": [[40, 50]], "pieces": pieces}
    canonical_json.write(path, recipe)
    digest = canonical_json.digest(recipe["training"])
    project.train("a", digest)
    for _ in range(2):
        (model,) = (one for one in project.models().models if one.split == "a")
        assert project.holding(45) == ["a"]
        assert model.rows.use_of([Range(45, 46)]) == "validated on"
        assert model.rows.use_of([Range(5, 45)]) == "trained and validated on"
        assert model.rows.use_of([Range(5, 6)]) == "trained on"
        assert model.rows.has_digest(digest_of("v"))
        path.unlink(missing_ok=True)
        trained = rows(DATA, (0, 10), pieces=[piece(0, 0, 10, "1")])
        validated = rows(DATA, (40, 50), pieces=[piece(2, 40, 50, "v")])
        validated = replace(validated, role=VALIDATION_ROWS)
        wrote = FileUse(model.path, "model", 1, 0, digest_of("m"))
        project.records.add(
            "train", [trained, validated], [wrote], "a", parameters={"recipe": digest}
        )
    assert lineage.main(["explain", "--results", "results/d", model.path]) in (0, 1)
    assert "validation rows [40, 50)" in capsys.readouterr().out
