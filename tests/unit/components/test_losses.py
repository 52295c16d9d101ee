"""The losses of torch.nn: their values are summed over the rows, whatever the settings say."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from memtrain.components.build import build_model_parts
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


@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"])
def test_balanced_weights_count_the_training_rows_alone(resolve, loss):
    target = np.array([0, 0, 0, 1, 3, 3, 2, 2], np.int64)
    _, recipe = resolve(
        FEATURES,
        target,
        {"loss": {"name": loss, "weight": "balanced"}, "model": {"name": MODEL_OF_LOSS[loss]}},
        train=[0, 6],
        evaluate=[6, 8],
        classes=4,
    )
    built = build_loss("training.loss", recipe.training.settings.loss, recipe.training)

    # rows / (classes * rows of the class); class 2 has no training row, and counts as if it had one
    expected = [6 / (4 * 3), 6 / (4 * 1), 6 / (4 * 1), 6 / (4 * 2)]
    assert dict(built.named_buffers())["_summed.weight"].tolist() == expected


MODEL_OF_LOSS = {
    "CrossEntropyLoss": "linear",
    "NLLLoss": f"{__name__}:LogLinear",
    "MultiMarginLoss": "linear",
}


class LogLinear(nn.Module):
    """A linear model that gives log-probabilities."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, out_features), nn.LogSoftmax(1))

    def forward(self, features):
        return self.layers(features)


def test_balanced_weight_of_yes_is_the_number_of_no_for_each_yes(resolve):
    target = np.array([0, 0, 0, 1, 0, 1, 1, 1], np.float32)
    _, recipe = resolve(
        FEATURES,
        target,
        {"loss": {"name": "BCEWithLogitsLoss", "pos_weight": "balanced"}},
        train=[0, 5],
        evaluate=[5, 8],
    )
    built = build_loss("training.loss", recipe.training.settings.loss, recipe.training)

    assert dict(built.named_buffers())["_summed.pos_weight"].tolist() == pytest.approx([4.0])


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"name": "MSELoss", "weight": "balanced"}, "training.loss.weight: found balanced"),
        ({"name": "BCEWithLogitsLoss", "weight": "balanced"}, "BCEWithLogitsLoss: pos_weight"),
        ({"name": "CrossEntropyLoss", "weight": "balanced"}, "the target holds numbers"),
        ({"name": "BCEWithLogitsLoss", "pos_weight": "balanced"}, "targets lie between 0 and 7"),
    ],
)
def test_what_cannot_be_balanced_is_refused(refusal, choice, reason):
    assert reason in refusal(**choice)


def test_weights_are_as_precise_as_the_model(resolve):
    weights = [0.1, 0.2]
    _, recipe = resolve(
        FEATURES,
        np.array([0, 1] * 4, np.int64),
        {
            "model": {"name": f"{__name__}:DoubleLinear"},
            "loss": {"name": "CrossEntropyLoss", "weight": weights},
        },
        classes=2,
    )
    parts = build_model_parts(recipe.training, torch.device("cpu"))

    assert dict(parts.loss.named_buffers())["_summed.weight"].tolist() == weights
    assert parts.model(torch.ones(1, 2)).dtype == torch.float64


class DoubleLinear(nn.Linear):
    """A linear model in double precision."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features, dtype=torch.float64)

    def forward(self, features):
        return super().forward(features.double())


@pytest.mark.parametrize("normalize", ["rows", "elements"])
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "MSELoss"])
def test_the_losses_of_padded_rows_are_those_of_their_elements(resolve, normalize, name):
    """Whatever stands in the padding, every row or every element weighs the same."""
    is_class = name == "CrossEntropyLoss"
    target = np.arange(8) % 3 if is_class else NUMBERS
    settings = {"loss": name, "normalize": normalize}
    _, recipe = resolve(FEATURES, target, settings, classes=3 if is_class else None)
    loss = build_loss("training.loss", recipe.training.settings.loss, recipe.training)
    torch.manual_seed(0)
    lengths = torch.tensor([3, 0, 1, 5])
    mask = torch.arange(5) < lengths[:, None]
    outputs = torch.randn(4, 5, 3 if is_class else 1)
    target = torch.randint(3, (4, 5)) if is_class else torch.randn(4, 5)
    outputs[~mask] = torch.nan
    single = getattr(nn, name)(reduction="sum")
    sums = [
        single(part[:length], goal[:length] if is_class else goal[:length, None])
        for part, goal, length in zip(outputs, target, lengths, strict=True)
        if length
    ]
    expected = sum(sums)
    if normalize == "rows":
        expected = sums[0] / 3 + sums[1] / 1 + sums[2] / 5
    assert loss.sum_losses(outputs, target, mask=mask) == pytest.approx(float(expected), rel=1e-6)


def test_a_model_that_gives_no_outputs_for_elements_is_refused(resolve):
    _, recipe = resolve(FEATURES, NUMBERS)
    loss = build_loss("training.loss", Choice(name="MSELoss"), recipe.training)
    mask = torch.ones(4, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"gives the shape \(4, 1\), but the target has"):
        loss.sum_losses(torch.zeros(4, 1), torch.zeros(4, 5), mask=mask)


class OfElements(nn.Module):
    """Logits of three classes for each of three elements."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 9)

    def forward(self, features):
        return self.layer(features).reshape(-1, 3, 3)


def test_elements_of_sequences_are_added_up_where_they_are_counted(resolve):
    """The mean over all elements is the same for rows of one length, whatever is divided by."""
    target = np.arange(24).reshape(8, 3) % 3
    outputs, goal = torch.randn(8, 3, 3), torch.from_numpy(target)
    sums = {}
    for normalize in ("rows", "elements"):
        settings = {
            "model": f"{__name__}:OfElements",
            "loss": "CrossEntropyLoss",
            "normalize": normalize,
        }
        _, recipe = resolve(FEATURES, target, settings, classes=3)
        loss = build_loss("training.loss", recipe.training.settings.loss, recipe.training)
        sums[normalize] = float(loss.sum_losses(outputs, goal))
    assert sums["elements"] / 24 == pytest.approx(sums["rows"] / 8)
