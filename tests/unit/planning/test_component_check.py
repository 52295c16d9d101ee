"""Mistakes in what trainings name are all told at once, before there are any rows."""

import sys

import pytest

import check_components
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.planning.component_check import all_problems, component_problems

OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features, width=3):
        super().__init__()
        self.layers = nn.Linear(in_features, out_features)

class Lazy(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.layers = nn.LazyLinear(out_features)

class Whole(nn.Module):
    def __init__(self):
        raise ValueError("it needs rows")

def shift(row, by=1):
    return row

def squares(model, batch):
    return 0

number = 3
"""

MOCK = {"name": "d", "mock": {"rows": 100, "features": 28}}
FLAT = {"name": "d", "import": {"path": "x.csv", "features": ["a", "b"], "target": ["c"]}}
WIDE = {"name": "d", "import": {"path": "x.npz", "features": ["a"], "target": ["c"]}}
CLASSES = {"name": "d", "import": FLAT["import"] | {"dtypes": {"c": "int64"}}}


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_net.py").write_text(OWN)
    (tmp_path / "leaving.py").write_text("raise SystemExit")
    (tmp_path / "leaving_well.py").write_text("import sys\nsys.exit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_net", "leaving", "leaving_well"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def problems_of(training, dataset=FLAT, **own):
    ranges = {"train": [0, 50], "evaluate": [50, 100]}
    splits = {name: ranges | {"training": settings} for name, settings in own.items()}
    content = {"dataset": dataset, "splits": splits or {"a": ranges}, "training": training}
    return component_problems(parse_configuration(content))


def test_five_mistakes_are_told_at_once():
    problems = problems_of(
        {
            "model": {"name": "mlp", "hiden": [3]},
            "transform": "scal",
            "loss": "MSELos",
            "optimizer": {"name": "Adam", "lrr": 1},
            "scheduler": {"name": "StepLR", "step": 3},
        }
    )
    keys = ["loss", "model", "transform", "optimizer", "scheduler"]
    assert [problem.split(": ")[1] for problem in problems] == [f"training.{key}" for key in keys]


def test_mistakes_of_all_kinds_are_told_at_once():
    ranges = {"train": [0, 50], "evaluate": [50, 100]}
    content = {
        "dataset": FLAT,
        "splits": {
            "a": ranges | {"evaluate": [60, 60]},
            "b": ranges | {"training": {"loss": "MSELos", "threads": 0}},
            "c": ranges | {"training": {"sharding": "fsdp"}},
            "d": {"evaluate": [0, 3]},
        },
        "training": {"epochs": "many", "optimizer": "Adan", "batchsize": 3},
        "evaluation": {"bootstrap": -1},
    }
    problems = all_problems(content)
    assert [problem.split(": ")[0] for problem in problems] == [
        "splits.a.evaluate",
        "splits.b.training.threads",
        "splits.d.train",
        "training.epochs",
        "training.batchsize",
        "evaluation.bootstrap",
        "splits.c.training",
        "splits a, b",
        "splits.b",
    ]


def test_a_target_that_only_the_files_know_is_not_judged():
    for loss in ("MSELoss", "CrossEntropyLoss"):
        assert problems_of({"loss": loss}, WIDE) == []
    assert len(problems_of({"loss": "MSELos"}, WIDE)) == 1
    assert problems_of({"target": "standardize"}, WIDE) == []
    assert problems_of({"target": "standardize"}) == []


@pytest.mark.parametrize("content", [None, [], {}, {"dataset": {}}, {"dataset": MOCK}])
def test_where_too_little_is_right_the_other_mistakes_are_told(content):
    assert all_problems(content)


def test_a_mistake_of_several_splits_is_told_once():
    problems = problems_of(
        {"loss": "MSELos"}, a={"seed": 1}, b={"epochs": 9}, c={"optimizer": "Adan"}
    )
    assert len(problems) == 2
    assert problems[0].startswith("splits a, b, c: training.loss: ")
    assert problems[1].startswith("splits.c: training.optimizer: ")


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"model": "own_net:Nett"}, "Did you mean 'Net'?"),
        ({"model": {"name": "own_net:Net", "widht": 3}}, "Did you mean 'width'?"),
        ({"model": {"name": "own_net:Net", "where": 3}}, "where=3 (got an unexpected"),
        ({"model": "own_net:number"}, "is 3; name a class or a function"),
        ({"model": "leaving:Net"}, "'leaving:Net' cannot be imported: it ends the program"),
        ({"model": "leaving_well:Net"}, "it ends the program (sys.exit(0))"),
        ({"model": "sys:exit"}, "training.model: exit refuses no arguments: it ends the program"),
        ({"transform": {"name": "own_net:shift", "of": 1}}, "does not take of=1"),
        ({"loss": {"name": "own_net:squares", "weight": 1}}, "does not take weight=1"),
        ({"loss": "CrossEntropyLoss"}, "learns classes, but the target ['c'] holds numbers"),
        ({"optimizer": {"name": "SGD", "lr": -1}}, "Invalid learning rate"),
        ({"optimizer": "LBFGS"}, "training.optimizer: the optimizer cannot take a step"),
        (
            {"optimizer": "SparseAdam"},
            "training.optimizer: SparseAdam takes sparse",
        ),
        ({"model": "own_net:Net", "optimizer": "Muon"}, "the model has layers.bias (1,)"),
        ({"model": "own_net:Lazy"}, "own_net:Lazy has lazy layers (layers)"),
        ({"scheduler": "ReduceLROnPlateau"}, "is advanced by the loss of a validation"),
        ({"scheduler": {"name": "StepLR", "gamma": 0.1}}, "training.scheduler: StepLR does not"),
    ],
)
def test_a_mistake_is_told_before_there_are_rows(training, expected):
    (problem,) = problems_of(training)
    assert problem.startswith("splits.a: training.")
    assert expected in problem


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize("dataset", [MOCK, FLAT, WIDE, CLASSES])
def test_what_is_right_is_accepted_and_no_model_is_built_for_rows_of_unknown_size(dataset):
    loss = "CrossEntropyLoss" if dataset is CLASSES else "MSELoss"
    training = {"loss": loss, "optimizer": "Adagrad", "scheduler": {"name": "StepLR"}}
    training["scheduler"]["step_size"] = 3
    assert problems_of(training | {"model": {"name": "mlp", "hidden": [3]}}, dataset) == []
    model = "own_net:Whole" if dataset in (WIDE, CLASSES) else "own_net:Net"
    assert problems_of(training | {"model": model}, dataset) == []


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize("dataset", [FLAT, WIDE])
def test_schedules_need_no_rows_to_be_checked(dataset):
    """Of a training whose steps are not known, no schedule is too long."""
    training = {
        "model": "own_net:Net",
        "optimizer": {"name": "AdamW", "groups": [{"match": "layers.*", "lr": 1}]},
        "scheduler": {
            "name": "SequentialLR",
            "warmup": 10**9,
            "schedulers": ["LinearLR", "CosineAnnealingLR", "PolynomialLR"],
            "milestones": ["10%", 20],
        },
    }
    assert problems_of(training, dataset) == []
    training["scheduler"]["schedulers"][1] = {"name": "CosineAnnealingLR", "Tmax": 3}
    (problem,) = problems_of(training, dataset)
    assert "training.scheduler.schedulers.1: CosineAnnealingLR does not take" in problem
    assert "Did you mean 'T_max'?" in problem


def test_balanced_weights_need_no_rows_to_be_checked():
    training = {"loss": {"name": "CrossEntropyLoss", "weight": "balanced"}}
    assert problems_of(training, CLASSES) == []


def test_columns_that_do_not_fit_together_are_told_with_the_rest():
    dataset = {"name": "d", "import": {"path": "x.csv", "features": ["a"], "target": ["b", "c"]}}
    dataset["import"]["dtypes"] = {"target": "int64"}
    problems = problems_of({"optimizer": "Adan"}, dataset)
    assert problems[0].startswith("dataset.import.target: found b, c;")
    assert len(problems) == 2


def test_the_script_checks_a_configuration(tmp_path, capsys, repository):
    assert check_components.main(["--config", str(repository / "config.yaml")]) == 0
    assert "was found" in capsys.readouterr().out
    text = (repository / "config.yaml").read_text().replace("MSELoss", "MSELos")
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match="splits first_half, second_half, most, outer: training"):
        check_components.main(["--config", str(tmp_path / "config.yaml")])


def test_frozen_names_and_declared_files_are_looked_at_before_the_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"model": "mlp", "freeze": ["layer.*"], "reads": ["gone.txt"]}
    first, second = problems_of({}, dataset=MOCK, a={"model": "mlp"}, b=own)
    assert first.startswith("splits.b.training: gone.txt is no file.")
    assert "training.freeze: 'layer.*' matches no parameter of the model; it has" in second
    assert second.startswith("splits.b: ")
