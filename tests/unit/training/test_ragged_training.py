"""Trainings on rows that vary in length: the same bytes everywhere, and those of a plain loop."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from memtrain.components.build import build_model_parts
from memtrain.core.random_streams import torch_seed
from memtrain.evaluation.evaluator import Evaluator
from memtrain.training.staging import staged
from memtrain.training.stopping import StopRequests
from memtrain.training.trainer import Trainer
from memtrain.training.weights import load_weights
from tests.trainings import Training
from tests.unit.planning import test_ragged_recipes
from tests.unit.planning.test_ragged_recipes import WORDS, NextWord, files, recipe_of

documents = test_ragged_recipes.documents

#: The module of the model, as a user has it in the folder of the project.
MODULE = f"from torch import nn\n\n\n{inspect.getsource(NextWord)}"

SETTINGS = {
    "model": "next_word:NextWord",
    "batch_size": 3,
    "accumulation_steps": 4,
    "epochs": 3,
    "seed": 5,
    "device": "cpu",
    "last_window": "step",
    "optimizer": {"name": "SGD", "lr": 0.1, "momentum": 0.9},
    "shuffle": {"block_bytes": "64B", "buffer_bytes": "512B"},
}
BORDERS = {"lengths": "lengths.npy"}


@pytest.fixture(autouse=True)
def _module(documents, tmp_path, monkeypatch):
    Path("next_word.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


def trained(recipe, folder, *arguments, processes=1):
    training = Training(folder, "../rows.json", recipe)
    # The paths of the files are those of the configuration, seen from its folder.
    for path in folder.parent.iterdir():
        if path.suffix in (".bin", ".npy", ".py"):
            (folder / path.name).symlink_to(path)
    said = training.run(*arguments, processes=processes)
    return training, said


@pytest.mark.slow
@pytest.mark.parametrize("normalize", ["rows", "elements"])
def test_the_same_bytes_for_one_process_for_two_and_from_a_copy(tmp_path, monkeypatch, normalize):
    recipe = recipe_of(files(BORDERS), **SETTINGS, normalize=normalize)
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", str(disk))
    one, _ = trained(recipe, tmp_path / "one")
    copied = ("--loading", "{stage: always}")
    two, said = trained(recipe, tmp_path / "two", *copied, processes=2)
    assert "rows are read from a copy" in said
    assert two.digests() == one.digests()


def test_a_copy_holds_the_rows_of_the_training_and_holes(documents):
    recipe = recipe_of(files(BORDERS), **SETTINGS, normalize="rows")
    with staged("rows.json", recipe, "always", 1, StopRequests()) as rows:
        assert rows.is_copy
        assert rows.layout is not None
        layout = rows.layout
        (stored,) = layout.stored
        content = np.fromfile(rows.path, "u1")
        ends = np.cumsum([len(one) for one in documents])
        first = stored.stream.part_offsets[0]
        kept = content[first : first + 2 * ends[29]].view("u2")
        assert np.array_equal(kept, np.concatenate(documents[:30]))
        assert not content[first + 2 * ends[29] :].any()


@pytest.mark.parametrize("normalize", ["rows", "elements"])
def test_the_weights_are_those_of_a_plain_loop(documents, normalize):
    settings = {**SETTINGS, "shuffle": None, "epochs": 2, "batch_size": 5}
    recipe = recipe_of(files(BORDERS), **settings, normalize=normalize)
    weights = Trainer(recipe, "rows.json").run().weights
    torch.manual_seed(torch_seed(5, "initial weights"))
    model = NextWord(WORDS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        for window in (documents[:20], documents[20:30]):
            optimizer.zero_grad()
            losses = [loss_of(model, one) for one in window]
            elements = [len(one) - 1 for one in window]
            if normalize == "elements":
                loss = sum(losses) / sum(elements)
            else:
                pairs = zip(losses, elements, strict=True)
                loss = sum(one / count for one, count in pairs if count) / len(window)
            loss.backward()
            optimizer.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5)


def loss_of(model, document):
    words = torch.from_numpy(document.astype(np.int64))
    outputs = model(words[None, :-1])[0]
    return nn.functional.cross_entropy(outputs, words[1:], reduction="sum")


@pytest.mark.slow
def test_metrics_count_every_element_once(tmp_path, documents):
    recipe = recipe_of(files(BORDERS), **SETTINGS, normalize="elements")
    training, _ = trained(recipe, tmp_path / "one")
    evaluator = Evaluator(recipe, "rows.json", training.folder / "model.safetensors")
    found = evaluator.run(tmp_path / "predictions.npy", steps=1)
    parts = build_model_parts(recipe.training, torch.device("cpu"))
    load_weights(training.folder / "model.safetensors", parts.model)
    parts.model.eval()
    with torch.no_grad():
        losses = [float(loss_of(parts.model, one)) for one in documents[40:50]]
    elements = [len(one) - 1 for one in documents[40:50]]
    assert found.metrics["cross_entropy"] == pytest.approx(sum(losses) / sum(elements), rel=1e-5)
    counts = np.bincount(np.concatenate([one[1:] for one in documents[:30]]), minlength=WORDS) + 1
    shares = np.log(counts / counts.sum())
    true = np.concatenate([one[1:] for one in documents[40:50]])
    assert found.baseline["cross_entropy"] == pytest.approx(-shares[true].mean())
    rows = np.load(tmp_path / "predictions.npy")
    expected = [loss / max(1, count) for loss, count in zip(losses, elements, strict=True)]
    assert rows["cross_entropy"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
