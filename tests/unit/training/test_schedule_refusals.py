"""Schedules that cannot be: all problems at once, each with its key."""

import pytest

from memtrain.core.errors import UserError
from tests.unit.training.test_schedules import EXTENT, scheduled

#: The module of functions that can be schedules.
OTHERS = "tests.unit.training.test_schedules"


def failing(step):
    return 1 / step


def problems_of(choice, extent=EXTENT):
    with pytest.raises(UserError) as caught:
        scheduled(choice, extent)
    return caught.value.problems


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (
            {"warmup": 20},
            "training.scheduler.warmup: found 20 steps, but the schedule lasts for 20",
        ),
        ({"name": "OneCycleLR", "warmup": 2}, "training.scheduler.warmup: OneCycleLR begins with"),
        ({"name": "constant", "factor": 1}, "training.scheduler: constant does not take factor"),
        ({"name": "ReduceLROnPlateau"}, "is advanced by the loss of a validation"),
        (
            {"name": "CosineAnnealingLR", "T_max": "5 miles"},
            "training.scheduler.T_max: found '5 miles'; a number of steps is needed",
        ),
        (
            {"name": "StepLR", "step_size": "1.5 steps"},
            "scheduler.step_size: found '1.5 steps'; '1.5 steps' is no whole",
        ),
        (
            {"name": "SequentialLR", "schedulers": [], "milestones": []},
            "training.scheduler.schedulers: found []",
        ),
        (
            {"name": "SequentialLR", "schedulers": ["LinearLR"], "milestones": [1]},
            "scheduler.milestones: found [1]; needed is a list",
        ),
        (
            {"name": "SequentialLR", "schedulers": ["LinearLR", "LinearLR"]},
            "scheduler.milestones: found None",
        ),
        (
            {"name": "SequentialLR", "schedulers": ["LinearLR", "LinearLR"], "milestones": [25]},
            "before the end of the schedule, which is step 20",
        ),
        (
            {"name": "ChainedScheduler", "schedulers": ["OneCycleLR"]},
            "scheduler.schedulers: OneCycleLR sets rates itself",
        ),
        (
            {"name": "ChainedScheduler", "schedulers": [{"name": 3}]},
            "training.scheduler.schedulers.0.name: found 3",
        ),
        (
            {"name": "ChainedScheduler", "schedulers": ["LinearLR"], "milestones": [1]},
            "ChainedScheduler does not take milestones; it takes schedulers",
        ),
        (
            {"name": "LambdaLR", "lr_lambda": "half"},
            "training.scheduler.lr_lambda: found 'half'; a function is named by its import path",
        ),
        ({"name": f"{OTHERS}:inverse_root", "powr": 2}, "Did you mean 'power'?"),
        ({"name": f"{OTHERS}:EXTENT"}, "name a class or a function"),
        ({"name": "math:cos", "warmup": 2, "x": 1}, "cos does not take x=1"),
        ({"name": f"{__name__}:failing"}, "failing gives no factor for step 0: ZeroDivisionError"),
        ({"name": "LambdaLR", "lr_lambda": ["a:b"]}, "scheduler.lr_lambda: found ['a:b']; needed"),
        (
            {"name": "ChainedScheduler", "schedulers": [3]},
            "scheduler.schedulers.0: found 3; needed",
        ),
        ({"name": "torch.nn:Linear"}, "is a class, but no torch.optim.lr_scheduler.LRScheduler"),
    ],
    ids=str,
)
def test_what_cannot_be_a_schedule_is_told_with_its_key(choice, expected):
    (problem,) = problems_of(choice)
    assert expected in problem
    assert problem.startswith("training.scheduler")


def test_all_problems_of_a_composition_are_told_at_once():
    choice = {
        "name": "SequentialLR",
        "schedulers": ["LinearRL", {"name": "StepLR", "step_size": "x"}],
        "milestones": [5],
    }
    first, second = problems_of(choice)
    assert first.startswith("training.scheduler.schedulers.0: ")
    assert "Did you mean 'LinearLR'?" in first
    assert second.startswith("training.scheduler.schedulers.1.step_size: found 'x'")
