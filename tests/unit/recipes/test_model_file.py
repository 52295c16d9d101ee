"""What a model says of itself, in a file that the library of safetensors reads."""

import json

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from memtrain.core.errors import UserError
from memtrain.recipes.acceptances import Acceptance
from memtrain.recipes.model_file import (
    ModelOrigin,
    check_origin,
    check_weights,
    read_origin,
    with_origin,
)
from memtrain.system.digests import digest_of_file

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor([True, False]),
    "c": torch.tensor(1.5, dtype=torch.bfloat16),
}


@pytest.fixture
def model(tmp_path):
    """A model with its history."""
    history = tmp_path / "history.csv"
    history.write_text("step\n1\n")
    origin = ModelOrigin(
        {"recipe": "sha256:r", "code": "sha256:c"},
        {"history.csv": digest_of_file(history)},
        {"torch": "2"},
        "cpu",
    )
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_origin(safetensors.torch.save(TENSORS), origin))
    return path


def check(model, **changes):
    given = {"recipe": "sha256:r", "code": "sha256:c", "history": model.parent / "history.csv"}
    check_origin(model, split="one", **given | changes)


def test_the_library_reads_weights_and_one_key_of_metadata(model):
    read = safetensors.torch.load_file(model)
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], TENSORS[name]) for name in read)
    with safe_open(model, "pt") as file:
        (statement,) = map(json.loads, file.metadata().values())
    assert statement["made_from"] == {"code": "sha256:c", "recipe": "sha256:r"}
    assert statement["tensors"] == read_origin(model).tensors


def test_every_flipped_byte_of_the_weights_and_their_names_is_noticed(model):
    content = model.read_bytes()
    check_weights(model)
    length = 8 + int.from_bytes(content[:8], "little")
    start = content.index(b'"a":')
    unnoticed = []
    for place in [*range(8), *range(start, len(content))]:
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        model.write_bytes(damaged)
        try:
            check_weights(model)
        except UserError:
            continue
        unnoticed.append((place, place < length))
    assert unnoticed == []


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{}"]
)
def test_a_damaged_file_says_nothing_and_is_refused(model, content):
    model.write_bytes(content)
    assert read_origin(model).made_from == {}
    with pytest.raises(UserError, match=r"model\.safetensors: "):
        check_weights(model)
    with pytest.raises(UserError, match="does not say what it was made from"):
        check(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"recipe": "sha256:other"},
            "trained by the recipe sha256:r, but the split's is sha256:other",
        ),
        ({"code": "sha256:new"}, r"trained by other code \(sha256:c\) than lies here now"),
    ],
)
def test_a_model_of_another_recipe_or_other_code_is_refused(model, changes, message):
    check(model)
    with pytest.raises(UserError, match=message):
        check(model, **changes)


def test_an_accepted_model_stands_for_the_code_that_it_was_accepted_for(model):
    accepted = Acceptance(
        result="train one",
        part="code",
        made_by="sha256:c",
        stands_for="sha256:new",
        reason="",
        at="",
    )
    check(model, code="sha256:new", accepted=[accepted])
    with pytest.raises(UserError, match="other code"):
        check(model, code="sha256:newer", accepted=[accepted])


def test_a_history_that_is_not_the_models_own_is_refused(model):
    (model.parent / "history.csv").write_text("step\n2\n")
    with pytest.raises(UserError, match=r"history\.csv: it has changed since"):
        check(model)
