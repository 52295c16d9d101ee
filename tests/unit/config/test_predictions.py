"""Predictions in the configuration: what is wrong with them is told before anything runs."""

import pytest
import yaml

from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.core.group_borders import GroupBorders
from memtrain.core.ranges import Range

BASE = yaml.safe_load(
    """
dataset: {name: mock, mock: {rows: 1000, features: 3}}
splits: {first: {train: [0, 500]}}
"""
)


def parsed(**predictions):
    return parse_configuration(BASE | {"predictions": predictions}).predictions


def test_rows_are_resolved_by_the_rows_of_the_data():
    found = parsed(tail={"split": "first", "rows": [[0, 10], ["90%", "100%"]]})
    assert found["tail"].resolved(1000) == [Range(0, 10), Range(900, 1000)]


def test_percentages_stand_for_the_borders_that_they_stand_for_in_splits():
    groups = GroupBorders([0, 370, 880], 1000, "patient")
    found = parsed(tail={"split": "first", "rows": [[3, 10], ["90%", "100%"]]})
    assert found["tail"].resolved(1000, groups) == [Range(3, 10), Range(880, 1000)]


def test_files_are_paths_or_are_described():
    found = parsed(
        tables={"split": "first", "files": "x/*.csv"},
        stream={"split": "first", "files": {"path": "x.npy", "windows": {"length": 4}}},
    )
    assert found["tables"].files == "x/*.csv"
    assert found["stream"].files.windows.length == 4


@pytest.mark.parametrize(
    ("prediction", "problem"),
    [
        ({"split": "frist", "rows": [0, 1]}, r"predictions\.a\.split: found 'frist'.* first"),
        ({"split": "first"}, "either `rows` or `files` is needed; found neither"),
        ({"split": "first", "rows": [0, 1], "files": "x.csv"}, "found both"),
        ({"split": "first", "rows": [0, 1], "csv": {"delimiter": ";"}}, "`csv` says how `files`"),
        (
            {"split": "first", "files": {"path": "x.npy"}, "csv": {"delimiter": ";"}},
            "`csv` says how `files` are written that are tables",
        ),
        ({"split": "first", "files": {"path": "x.npy", "target": True}}, "remove `target: true`"),
        (
            {"split": "first", "files": {"path": "x", "windows": {"length": 0}}},
            r"predictions\.a\.files: .*`windows\.length` is wrong: .*greater than or equal to 1",
        ),
        ({"split": "first", "files": {"pth": "x"}}, "`path` is wrong: Field required"),
        ({"split": "first", "files": 5}, r"a pattern such as data/\*\.csv is needed"),
        ({"split": "first", "rows": [999, 1001]}, "beyond the 1,000 rows"),
        ({"split": "first", "rows": [5, 5]}, "is empty"),
        ({"split": "first", "rows": [[0, 9], ["0.5%", 20]]}, r"rows \[5, 9\) are in two"),
    ],
)
def test_mistakes_are_told(prediction, problem):
    with pytest.raises(UserError, match=problem):
        parsed(a=prediction)


def test_trainings_of_a_sweep_predict_by_their_names():
    content = BASE | {"sweep": {"grid": {"training.seed": [1, 2]}}}
    content |= {"predictions": {"a": {"split": "first-seed=2", "rows": [0, 1]}}}
    assert parse_configuration(content).predictions["a"].split == "first-seed=2"
