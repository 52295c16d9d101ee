"""The losses of torch.nn: their values are summed over the rows, whatever the settings say."""

import inspect
import warnings

import numpy as np
import pytest
from torch import nn

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


def changes_reduction(loss, argument, value):
    try:
        plain = loss(reduction="none").reduction
        return loss(**{"reduction": "none", argument: value}).reduction != plain
    except (TypeError, ValueError):
        return False
