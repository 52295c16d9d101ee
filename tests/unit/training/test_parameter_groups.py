"""Groups of parameters: which parameter is in which, with which settings, and what is refused."""

import pytest
import torch
from torch import nn

from memtrain.components.optimizers import build_optimizer
from memtrain.components.parameter_groups import describe_groups
from memtrain.config.optimization import OptimizerChoice
from memtrain.config.parsing import parse_settings
from memtrain.core.errors import UserError


class OwnNorm(nn.Module):
    """A normalization of the user's own, whose class has a name like those of PyTorch."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))


class Tokens(nn.Module):
    """A network with shared, frozen, normalizing and wrapped parts."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.norm = nn.LayerNorm(4)
        self.channels = nn.BatchNorm1d(4)
        self.own = OwnNorm()
        self.recurrent = nn.GRU(4, 4)
        self.head = nn.Linear(4, 7)
        self.head.weight = self.words.weight
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.compiled = torch.compile(nn.Linear(4, 4), backend="eager")


def groups_of(choice, model):
    """Return the settings of each group, and the names of its parameters."""
    choice = parse_settings(OptimizerChoice, {"name": "AdamW", "lr": 0.1} | choice)
    optimizer = build_optimizer("training.optimizer", choice, model)
    names = {part: name for name, part in model.named_parameters()}
    return [
        (group["lr"], group["weight_decay"], [names[part] for part in group["params"]])
        for group in optimizer.param_groups
    ]


def problems_of(choice, model=None):
    with pytest.raises(UserError) as caught:
        groups_of(choice, model or Tokens())
    return caught.value.problems


def test_without_groups_there_is_one():
    ((rate, decay, names),) = groups_of({}, Tokens())
    assert (rate, decay) == (0.1, 0.01)
    assert "words.weight" in names
    assert "frozen.weight" not in names


def test_a_parameter_is_in_the_first_group_that_matches():
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    choice = {
        "groups": [
            {"match": "*.bias", "weight_decay": 0},
            {"match": ["head.*", "nothing_but_head.*", "head.weight"], "lr": "1e-3"},
        ]
    }
    with pytest.raises(UserError, match=r"groups\.1\.match: 'nothing_but_head"):
        groups_of(choice, model)
    choice["groups"][1]["match"] = ["head.*"]
    assert groups_of(choice, model) == [
        (0.1, 0.01, ["body.weight"]),
        (0.1, 0, ["body.bias", "head.bias"]),
        (0.001, 0.01, ["head.weight"]),
    ]


def test_without_decay_are_biases_norms_and_embeddings():
    (_, decay, decayed), (_, none, others) = groups_of({"no_decay": ["bias", "norm"]}, Tokens())
    assert (decay, none) == (0.01, 0)
    assert decayed == [
        "words.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "recurrent.weight_ih_l0",
        "recurrent.weight_hh_l0",
        "compiled._orig_mod.weight",
    ]
    assert {"norm.weight", "channels.weight", "own.scale", "recurrent.bias_hh_l0"} < set(others)
    # The head shares the weights of the embedding.
    (_, _, decayed), (_, _, others) = groups_of({"no_decay": "embedding"}, Tokens())
    assert others == ["words.weight"]
    assert "head.bias" in decayed


def test_groups_and_weight_decay_go_together():
    choice = {
        "groups": [
            {"match": "attention.*", "lr": 0.01},
            {"match": "recurrent.*", "weight_decay": 0.5},
        ],
        "no_decay": ["bias", "norm", "embedding"],
    }
    rest, rest_undecayed, attention, biases, recurrent = groups_of(choice, Tokens())
    assert rest == (0.1, 0.01, ["compiled._orig_mod.weight"])
    assert rest_undecayed[:2] == (0.1, 0)
    assert attention[:2] == (0.01, 0.01)
    assert biases == (0.01, 0, ["attention.in_proj_bias", "attention.out_proj.bias"])
    assert recurrent[:2] == (0.1, 0.5)
    assert len(recurrent[2]) == 4


def test_names_are_those_without_wrappers_and_shared_ones_have_several():
    choice = {"groups": [{"match": ["compiled.*"], "lr": 1}, {"match": "head.weight", "lr": 2}]}
    _, compiled, head = groups_of(choice, Tokens())
    assert compiled[2] == ["compiled._orig_mod.weight", "compiled._orig_mod.bias"]
    assert head == (2, 0.01, ["words.weight"])


def test_every_parameter_may_be_in_a_group():
    assert groups_of({"groups": [{"match": "*", "lr": 2}]}, nn.Linear(2, 1)) == [
        (2, 0.01, ["weight", "bias"])
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"match": "*.bais"}, "groups.0.match: '*.bais' matches no parameter of the model; it has"),
        ({"match": "*.bais"}, "Did you mean '*.bias'?"),
        ({"match": "hed.weight"}, "Did you mean 'head.weight'?"),
        ({"match": "frozen.*"}, "'frozen.*' matches only parameters that are not trained"),
        ({"match": "*.bias", "wieght_decay": 0}, "groups.0: AdamW does not take"),
        ({"match": "*.bias", "wieght_decay": 0}, "Did you mean 'weight_decay'?"),
        ({"match": "*.bias", "lr": -1}, "groups.0: AdamW refuses lr=-1"),
        ({"match": "*.bias", "foreach": True}, "groups.0: foreach cannot differ between groups"),
        ({"lr": 0.1}, "groups.0.match: this key is missing"),
        ({"match": []}, "groups.0.match: found []"),
    ],
    ids=str,
)
def test_a_group_that_cannot_be_is_told_with_its_key(choice, expected):
    (problem,) = problems_of({"groups": [choice]})
    assert expected in problem


def test_all_patterns_that_match_nothing_are_told_at_once():
    groups = [{"match": ["a", "*.bias"]}, {"match": "b"}, {"match": "*.bias"}]
    first, second, third = problems_of({"groups": groups})
    assert "groups.0.match: 'a' matches no parameter" in first
    assert "groups.1.match: 'b' matches no parameter" in second
    assert "groups.2.match: *.bias matches only parameters that groups before it" in third


def test_what_a_class_uses_before_there_are_groups_cannot_differ():
    group = {"match": "*.bias", "initial_accumulator_value": 0.5}
    (problem,) = problems_of({"name": "Adagrad", "groups": [group]})
    assert "groups.0: initial_accumulator_value cannot differ between groups of Adagrad" in problem
    assert problem.endswith("lr, lr_decay, eps, weight_decay, maximize.")


def test_an_optimizer_without_weight_decay_cannot_leave_any_out():
    (problem,) = problems_of({"name": "Rprop", "no_decay": "bias"})
    assert "training.optimizer.no_decay: Rprop has no weight decay" in problem
    (problem,) = problems_of({"no_decay": ["biases"]})
    assert "no_decay.0: found 'biases'" in problem


def test_the_groups_are_described_by_what_differs():
    choice = {"no_decay": "bias", "groups": [{"match": "1.*", "lr": 1}]}
    choice = parse_settings(OptimizerChoice, {"name": "AdamW", "lr": 0.1} | choice)
    optimizer = build_optimizer("", choice, nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert describe_groups(optimizer) == [
        "group 1: 6 numbers, lr 0.1, weight_decay 0.01",
        "group 2: 2 numbers, lr 0.1, weight_decay 0.0",
        "group 3: 2 numbers, lr 1, weight_decay 0.01",
        "group 4: 1 numbers, lr 1, weight_decay 0.0",
    ]
    assert describe_groups(torch.optim.SGD(nn.Linear(2, 1).parameters())) == []


def test_the_patterns_and_the_settings_of_groups_are_told_at_once():
    groups = [{"match": "nothing", "lr": 1}, {"match": "*.bias", "wd": 1}]
    first, second = problems_of({"groups": groups})
    assert "groups.1: AdamW does not take lr=0.1, wd=1" in first
    assert "groups.0.match: 'nothing' matches no parameter" in second


def test_groups_are_fused_as_well():
    choice = parse_settings(OptimizerChoice, {"name": "AdamW", "no_decay": "bias"})
    optimizer = build_optimizer("", choice, nn.Linear(2, 1))
    assert [group["fused"] for group in optimizer.param_groups] == [True, True]
