"""What a training says of its processes."""

import logging

import pytest

from memtrain.training.performance import TrainingCost
from memtrain.training.process_balance import ProcessBalance, describe_imbalance


@pytest.mark.parametrize(
    ("gradients", "exchanges", "steps", "processes", "is_told"),
    [
        (4.0, 5.0, 1000, 2, True),
        (5.0, 4.0, 1000, 2, False),
        # One process would take up to four times as long for its gradients.
        (4.0, 11.0, 1000, 4, False),
        (4.0, 13.0, 1000, 4, True),
        (4.0, 5.0, 1000, 1, False),
        (4.0, 5.0, 99, 2, False),
        (0.4, 0.5, 1000, 2, False),
    ],
)
def test_processes_are_too_many_if_one_would_surely_be_as_fast(
    gradients, exchanges, steps, processes, is_told
):
    assert (describe_imbalance(gradients, exchanges, steps, processes) is not None) == is_told


def test_it_is_told_once_and_by_one_process(caplog):
    caplog.set_level(logging.WARNING)
    cost = TrainingCost(gradient_seconds=4.0, exchanging_seconds=5.0, steps=1000)
    main, other = ProcessBalance(2, is_told=True), ProcessBalance(2, is_told=False)
    for _ in range(3):
        assert main.see(cost) == other.see(cost) is not None
    (record,) = caplog.records
    assert "for 4 ms and exchanges them for 5 ms" in record.getMessage()
