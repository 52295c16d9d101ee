"""The configuration: what it may hold, and what its messages say about mistakes."""

import copy
import datetime

import pytest
import yaml

from memtrain.config.reading import configuration_text, parse_configuration, read_configuration
from memtrain.config.splits import SplitRanges
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, count_rows

VALID = yaml.safe_load(
    """
dataset: {name: mock, mock: {rows: 1000, features: 3}}
splits:
  a: {train: [0, 500], evaluate: [500, 1000]}
  b: {train: [[0, "10%"], ["50%", 800]], evaluate: ["80%", "100%"], training: {epochs: 5}}
training: {optimizer: {name: SGD, lr: 0.1, momentum: 0.9}, epochs: 2}
"""
)


def changed(**changes):
    content = copy.deepcopy(VALID)
    for path, value in changes.items():
        *folders, key = path.split("__")
        part = content
        for folder in folders:
            part = part.setdefault(folder, {})
        part[key] = value
    return content


def problems_of(content):
    with pytest.raises(UserError) as caught:
        parse_configuration(content)
    return caught.value.problems


def test_ranges_are_read_in_rows_and_percentages():
    configuration = parse_configuration(VALID)
    assert configuration.resolve_ranges("b", 1000) == SplitRanges(
        train=[Range(0, 100), Range(500, 800)], evaluate=[Range(800, 1000)], problems=[]
    )
    assert configuration.resolve_ranges("b", 1001).evaluate == [Range(800, 1001)]


def test_numbers_that_yaml_reads_as_text_are_numbers():
    content = yaml.safe_load("{lr: 1e-3, eps: 1E-8, betas: [9e-1, 0.99]}")
    assert isinstance(content["lr"], str)
    configuration = parse_configuration(changed(training__optimizer={"name": "Adam", **content}))
    assert configuration.training.optimizer.arguments == {
        "lr": 0.001,
        "eps": 1e-8,
        "betas": [0.9, 0.99],
    }
    rows = parse_configuration(changed(dataset__mock__rows="1e3")).dataset.mock.rows
    assert (rows, type(rows)) == (1000, int)


def test_a_split_overrides_defaults():
    configuration = parse_configuration(
        changed(splits__a__training={"optimizer": {"lr": 0.5}, "model": "linear"})
    )
    own = configuration.training_settings("a")
    assert own.optimizer.arguments == {"lr": 0.5, "momentum": 0.9}
    assert (own.optimizer.name, own.model.name, own.epochs) == ("SGD", "linear", 2)
    assert configuration.training_settings("b").epochs == 5


def test_a_split_overrides_groups_and_the_warmup():
    groups = [{"match": "*.weight", "lr": "1e-3"}, {"match": ["a", "b"], "lr": 2}]
    content = changed(
        training__optimizer={"name": "SGD", "lr": 0.1, "groups": groups, "no_decay": "bias"},
        training__scheduler={"name": "CosineAnnealingLR", "warmup": "5%"},
        splits__a__training={
            "optimizer": {"groups": [], "momentum": 0.5},
            "scheduler": {"warmup": {"epochs": 0.5, "start_factor": 0.1}},
        },
    )
    configuration = parse_configuration(content)
    whole, own = (configuration.training_settings(split) for split in ("b", "a"))
    assert [group.match for group in whole.optimizer.groups] == [["*.weight"], ["a", "b"]]
    assert whole.optimizer.groups[0].values == {"lr": 0.001}
    assert whole.optimizer.arguments == {"lr": 0.1}
    assert own.optimizer.groups == []
    assert own.optimizer.arguments == {"lr": 0.1, "momentum": 0.5}
    assert own.optimizer.no_decay == whole.optimizer.no_decay == ["bias"]
    assert (whole.scheduler.warmup.steps, whole.scheduler.arguments) == ("5%", {})
    assert own.scheduler.name == "CosineAnnealingLR"
    assert (own.scheduler.warmup.steps, own.scheduler.warmup.start_factor) == ("0.5 epochs", 0.1)
    assert configuration.training_settings("a") == own.model_validate(own.model_dump(mode="json"))


def test_sizes_of_blocks_and_buffers_may_have_units():
    content = changed(training={"shuffle": {"block_bytes": "1MiB", "buffer_bytes": "1.5 GiB"}})
    content["splits"] = {
        "as_is": {"train": [0, 1], "evaluate": [1, 2]},
        "own": {
            "train": [0, 1],
            "evaluate": [1, 2],
            "training": {"shuffle": {"buffer_bytes": 2**22}},
        },
        "in_order": {"train": [0, 1], "evaluate": [1, 2], "training": {"shuffle": "none"}},
    }
    configuration = parse_configuration(content)
    sizes = {
        split: shuffle and (shuffle.block_bytes, shuffle.buffer_bytes)
        for split in content["splits"]
        if (shuffle := configuration.training_settings(split).shuffle) or True
    }
    assert sizes == {
        "as_is": (2**20, 3 * 2**29),
        "own": (2**20, 2**22),
        "in_order": None,
    }


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"training": {"shuffle": {"block_bytes": "big"}}}, "a size like 256KiB is needed"),
        (
            {"training": {"shuffle": {"block_bytes": "2MiB", "buffer_bytes": "1MiB"}}},
            "less than one block",
        ),
        ({"training": {"shuffle": {"buffer": 5}}}, "buffer"),
        ({"loading": {"reader": "fast"}}, "fast"),
        ({"loading": {"memory_budget": "much"}}, "much"),
    ],
)
def test_mistakes_in_shuffle_and_loading_are_reported(section, expected):
    assert expected in " ".join(problems_of(changed(**section)))


def test_null_in_a_split_removes_the_scheduler():
    schedule = {"name": "StepLR", "step_size": 3}
    content = changed(training__scheduler=schedule, splits__a__training={"scheduler": None})
    configuration = parse_configuration(content)
    assert configuration.training_settings("a").scheduler is None
    assert configuration.training_settings("b").scheduler.name == "StepLR"


def test_folds_evaluate_every_row_once():
    content = changed(folds=3)
    del content["splits"]
    configuration = parse_configuration(content)
    evaluated = []
    for split in configuration.split_names:
        ranges = configuration.resolve_ranges(split, 1000)
        assert not ranges.problems
        assert count_rows(ranges.train + ranges.evaluate) == 1000
        evaluated += ranges.evaluate
    assert evaluated == [(0, 333), (333, 666), (666, 1000)]


def folds_of(rows, **folds):
    content = changed(folds=folds)
    del content["splits"]
    configuration = parse_configuration(content)
    return [configuration.resolve_ranges(split, rows) for split in configuration.split_names]


def test_folds_in_the_order_of_time_are_trained_on_what_came_before():
    """The rows are those of scikit-learn's TimeSeriesSplit(3, gap=10)."""
    found = folds_of(1000, count=3, order="time", gap=10)
    assert [(fold.train, fold.evaluate) for fold in found] == [
        ([(0, 240)], [(250, 500)]),
        ([(0, 490)], [(500, 750)]),
        ([(0, 740)], [(750, 1000)]),
    ]


def test_a_gap_keeps_the_neighbours_of_evaluated_rows_out_of_the_training():
    found = folds_of(100, count=2, gap=7)
    assert [(fold.train, fold.evaluate) for fold in found] == [
        ([(57, 100)], [(0, 50)]),
        ([(0, 43)], [(50, 100)]),
    ]
    (problem,) = folds_of(100, count=2, gap=50)[0].problems
    assert "folds.gap: 50 rows leave fold_1 no row to train on" in problem


@pytest.mark.parametrize(("folds", "rows"), [({"count": 3}, 2), ({"count": 3, "order": "time"}, 3)])
def test_folds_without_rows_are_a_problem(folds, rows):
    for fold in folds_of(rows, **folds):
        assert "leave some of the folds empty" in fold.problems[0]


def test_folds_may_stand_beside_named_splits():
    configuration = parse_configuration(changed(folds=2))
    assert configuration.split_names == ["a", "b", "fold_1", "fold_2"]
    assert configuration.resolve_ranges("fold_2", 100).evaluate == [(50, 100)]
    named = parse_configuration(changed())
    assert configuration.settings_of_split("a") == named.settings_of_split("a")


def test_a_configuration_can_be_written_and_read_back(tmp_path):
    configuration = parse_configuration(changed(splits__0={"train": [0, 1], "evaluate": [1, 2]}))
    (tmp_path / "config.yaml").write_text(configuration_text(configuration))
    again = read_configuration(tmp_path / "config.yaml")
    assert again == configuration
    assert again.split_names == ["a", "b", "0"]
    assert [again.training_settings(split) for split in "ab"] == [
        configuration.training_settings(split) for split in "ab"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (changed(training__epoch=3), ["training.epoch", "3", "Did you mean 'epochs'?"]),
        (changed(splits__a__training={"batchsize": 3}), ["splits.a.training.batchsize", "batch_s"]),
        (changed(training__epochs="many"), ["training.epochs", "'many'", "valid integer"]),
        (changed(training__epochs=0), ["training.epochs", "found 0", "greater than or equal to 1"]),
        (changed(training__epochs=True), ["training.epochs", "True", "number"]),
        (changed(training__last_window="dorp"), ["training.last_window", "Did you mean 'drop'?"]),
        (changed(dataset__name="../x"), ["dataset.name", "'../x'", "letters"]),
        (changed(dataset__name="é"), ["dataset.name", "'é'", "letters from a to z"]),
        (changed(dataset__name="ends_in_dot."), ["dataset.name", "letters"]),
        (changed(dataset__name="x" * 101), ["dataset.name", "101 characters", "at most 100"]),
        (changed(splits__A={"train": [0, 1], "evaluate": [1, 2]}), ["a and A", "rename one"]),
        (changed(training__threads=2000), ["training.threads", "found 2000", "to 1024"]),
        (changed(training__epochs=10**10), ["training.epochs", "to 1000000000"]),
        (changed(training__seed=2**63), ["training.seed", "less than 9223372036854775808"]),
        (changed(training__clip_norm=float("inf")), ["training.clip_norm", "inf", "finite"]),
        (changed(dataset__mock__noise=float("nan")), ["dataset.mock.noise", "nan"]),
        (changed(dataset__mock__noise=1e-300), ["dataset.mock.noise", "at least 1e-15"]),
        (changed(dataset__mock={"rows": 2**62}), ["dataset.mock", "more than any file"]),
        (changed(evaluation={"bootstrap": 10**9}), ["evaluation.bootstrap", "to 100000"]),
        (changed(training__shuffle={"block_bytes": 10**320}), ["block_bytes", "8388608 TiB"]),
        (changed(training__shuffle={"block_bytes": "9" * 5000}), ["block_bytes", "like 256KiB"]),
        (changed(training__optimizer={"name": "SGD", "lr": float("inf")}), ["lr: inf", "finite"]),
        (
            changed(training__model={"name": "mlp", "hidden": [3, {"x": 2**70}]}),
            ["training.model", "hidden[1].x: ", "64 bits"],
        ),
        (
            changed(training__model={"name": "a:B", "day": datetime.date(2020, 1, 2)}),
            ["training.model", "day: ", "type date", "quotes"],
        ),
        (
            changed(splits__a__training={"sharding": "fsdp"}),
            ["splits.a.training", "reduction: fast"],
        ),
        (
            changed(splits__a__training={"shuffle": {"buffer_bytes": 9}, "epochs": 3}),
            ["splits.a.training.shuffle", "less than one block"],
        ),
        (
            changed(splits__a__training={"scheduler": {"gamma": 1}}),
            ["splits.a.training.scheduler", "gamma", "`name`"],
        ),
        (changed(splits__b__evaluate=[800, 2000]), ["splits.b.evaluate", "2000", "has 1000 rows"]),
        (changed(splits__a__train=[7, 7]), ["splits.a.train", "[7, 7]", "empty"]),
        (changed(splits__a__train=["0%", "0.01%"]), ["splits.a.train", "0.01%", "empty"]),
        (changed(splits__a__train=[9, 7]), ["splits.a.train", "[9, 7]", "backwards"]),
        (changed(splits__a__train=["90%", 7]), ["splits.a.train", "backwards"]),
        (changed(splits__a__train=[0, "120%"]), ["splits.a.train", "'120%'"]),
        (changed(splits__a__train=[0]), ["splits.a.train", "[start, end]"]),
        (changed(splits__a__train=[[0, 9], [5, 20]]), ["splits.a.train", "[5, 9)", "two"]),
        (changed(splits__a__evaluate=[400, 600]), ["splits.a", "[400, 500)", "allow_overlap"]),
        (changed(shards={"rows": "few"}), ["shards.rows", "'few'", "auto"]),
        (changed(folds={"count": 3, "gap": -1}), ["folds.gap"]),
        (
            changed(folds=2, splits__fold_1={"train": [0, 1], "evaluate": [1, 2]}),
            ["splits.fold_1", "name of a fold"],
        ),
        (changed(splits={}), ["splits", "folds", "neither"]),
        (changed(splits={"folds": 5}), ["splits.folds", "beside `splits`"]),
        (changed(dataset__mock=None), ["dataset", "found none", "`files`"]),
        (
            changed(dataset__import={"path": "x", "features": ["a"], "target": ["b"]}),
            ["dataset", "found mock, import", "Remove all but one"],
        ),
        (changed(dataset={"mock": {"rows": 9}}), ["dataset.name", "missing"]),
        ("just text", ["'just text'"]),
    ],
)
def test_the_message_of_a_mistake_names_key_value_and_remedy(content, expected):
    (problem,) = problems_of(content)
    for part in expected:
        assert part in problem


def test_allow_overlap_allows_an_overlap():
    parse_configuration(changed(splits__a__evaluate=[400, 600], splits__a__allow_overlap=True))


def test_all_mistakes_are_reported_at_once():
    content = changed(
        training__epoch=3, training__batch_size=-1, dataset__mock__target="mpl", shard={"rows": 3}
    )
    problems = problems_of(content)
    assert len(problems) == 4
    assert any("Did you mean 'mlp'?" in problem for problem in problems)
    assert any("Did you mean 'shards'?" in problem for problem in problems)


def test_a_file_that_is_missing_or_not_yaml_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml: .*No such file"):
        read_configuration(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1, 2")
    with pytest.raises(UserError, match=r"bad\.yaml: this is not YAML"):
        read_configuration(tmp_path / "bad.yaml")


def test_yaml_cannot_create_python_objects(tmp_path):
    (tmp_path / "evil.yaml").write_text("a: !!python/object/apply:os.system ['touch x']")
    with pytest.raises(UserError, match="this is not YAML"):
        read_configuration(tmp_path / "evil.yaml")
