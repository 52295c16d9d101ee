"""The losses of torch.nn: their values are summed over the rows, whatever the settings say."""

import inspect
import warnings

import numpy as np
import pytest
from torch import nn

from memtrain.components.loss_kinds import OTHER_INPUTS, kind_of
from memtrain.components.losses import build_loss
from memtrain.config.types import Choice
from memtrain.core.errors import UserError

FEATURES = np.ones((8, 2), np.float32)
NUMBERS = np.arange(8, dtype=np.float32)


@pytest.fixture
def refusal(resolve):
    """Return a function that returns why a loss is refused; "" for a loss that is accepted."""
    _, recipe = resolve(FEATURES, NUMBERS)

    def refusal(**choice):
        try:
            build_loss("training.loss", Choice(**choice), recipe.training)
        except UserError as error:
            return str(error)
        return ""

    return refusal


@pytest.mark.parametrize(
    "arguments",
    [
        {"reduction": "mean"},
        {"reduction": "none"},
        {"size_average": True},
        {"size_average": False},
        {"reduce": True},
        {"reduce": False},
    ],
)
def test_no_spelling_changes_the_reduction(refusal, arguments):
    message = refusal(name="MSELoss", **arguments)
    name = next(iter(arguments))
    assert message.startswith(f"training.loss: found {name}: {arguments[name]}")
    assert f"Remove `{name}`" in message


def test_the_sum_may_be_named(refusal):
    assert refusal(name="MSELoss", reduction="sum") == ""


def test_no_argument_of_any_torch_loss_changes_the_reduction(refusal):
    changing = set()
    for name, loss in vars(nn).items():
        if not name.endswith("Loss") or "reduction" not in inspect.signature(loss).parameters:
            continue
        for argument in inspect.signature(loss).parameters:
            for value in (True, False):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    changes = changes_reduction(loss, argument, value)
                if changes:
                    changing.add(argument)
                    assert f"Remove `{argument}`" in refusal(name=name, **{argument: value})
    assert {"size_average", "reduce"} <= changing


def test_every_loss_of_torch_has_a_kind_or_is_refused_by_name(refusal):
    for name, loss in vars(nn).items():
        if name.endswith("Loss") and "reduction" in inspect.signature(loss).parameters:
            message = refusal(name=name)
            if name in OTHER_INPUTS:
                assert f"{name} takes {OTHER_INPUTS[name]}" in message
            else:
                assert kind_of(Choice(name=name)) is not None


ALTERNATING = np.arange(8, dtype=np.float32) % 2


@pytest.mark.parametrize(
    ("loss", "target", "message"),
    [
        ("BCEWithLogitsLoss", NUMBERS, "learns numbers from 0 to 1, and the targets lie between 0"),
        ("BCEWithLogitsLoss", 2 * ALTERNATING - 1, "the targets are -1 or 1. Use SoftMarginLoss"),
        ("BCELoss", -ALTERNATING, "learns numbers from 0 to 1, and the targets lie between -1"),
        ("MultiLabelSoftMarginLoss", NUMBERS, "learns numbers from 0 to 1"),
        ("SoftMarginLoss", ALTERNATING, "the targets are 0 or 1. Use BCEWithLogitsLoss"),
        ("SoftMarginLoss", ALTERNATING - 0.5, "learns -1 or 1, and the targets lie between -0.5"),
        ("HingeEmbeddingLoss", NUMBERS, "learns -1 or 1"),
        ("PoissonNLLLoss", -NUMBERS, "learns numbers from 0, and the targets lie between -7"),
        ("KLDivLoss", -NUMBERS, "learns numbers from 0, and"),
    ],
)
def test_targets_that_a_loss_does_not_allow(resolve, loss, target, message):
    with pytest.raises(UserError) as caught:
        resolve(FEATURES, target, {"model": "linear", "loss": loss})
    assert message in str(caught.value)


@pytest.mark.parametrize("use", ["train", "evaluate"])
def test_one_target_among_many_is_noticed(resolve, use):
    target = (np.arange(4000) % 2).astype(np.float32)
    target[{"train": 7, "evaluate": 2007}[use]] = 0.5
    how = {"train": [0, 2000], "evaluate": [2000, 4000], "shard": 500}
    how["training"] = {"model": "linear", "loss": "BCEWithLogitsLoss"}
    features = np.ones((4000, 2), np.float32)
    if use == "train":  # The targets are shares, and no labels.
        assert resolve(features, target, **how)
    else:
        with pytest.raises(UserError, match="evaluation rows have targets in between"):
            resolve(features, target, **how)


def test_outputs_that_are_no_log_probabilities(resolve):
    target = np.arange(8) % 3
    with pytest.raises(UserError) as caught:
        resolve(FEATURES, target, {"model": "linear", "loss": "NLLLoss"}, classes=3)
    assert "training.loss: NLLLoss takes log-probabilities, but" in str(caught.value)
    assert "Use CrossEntropyLoss" in str(caught.value)


def changes_reduction(loss, argument, value):
    try:
        plain = loss(reduction="none").reduction
        return loss(**{"reduction": "none", argument: value}).reduction != plain
    except (TypeError, ValueError):
        return False
