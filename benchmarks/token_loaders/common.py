"""What the token loaders share: the command line, the check of an epoch, and the measurement.

The driver starts each program with the Python of its own environment. The tokens are uint16 in one
raw file, without a header. Window w of them begins with the digits of w to the base of 1,024, so
that a program can say which windows an epoch visits.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

BASE = 1024

#: Inputs and targets, integers (windows, length) each.
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Task:
    """What a program has to do.

    Attributes:
        path: the raw file of tokens.
        length: tokens of a window.
        batch_size: windows of a batch.
        epochs: epochs that are measured, after one that is checked.
    """

    path: str
    length: int
    batch_size: int
    epochs: int


def read_task() -> Task:
    """Return the task that the command line describes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    for name in ("length", "batch_size", "epochs"):
        parser.add_argument(name, type=int)
    torch.set_num_threads(1)
    return Task(**vars(parser.parse_args()))


def measure(
    task: Task,
    epoch: Callable[[int], Batches],
    *,
    version: str = "",
    starts_of_batch: Callable[[], np.ndarray] | None = None,
) -> None:
    """Check one epoch, measure others, and print the result as JSON.

    Args:
        task: what is to be done.
        epoch: function from the number of an epoch to its batches.
        version: version of the package of the program.
        starts_of_batch: returns the first token of every window of the last batch, int64
            (windows,), where these are no multiples of the length.
    """
    tokens = len(np.memmap(task.path, np.uint16, "r")) // task.length * task.length
    changes = np.zeros(tokens + task.length + 1, np.int64)
    for inputs, targets in epoch(0):
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        starts = starts_of_batch() if starts_of_batch else first_tokens(inputs, task.length)
        np.add.at(changes, starts, 1)
        np.add.at(changes, starts + task.length, -1)
    visits = np.cumsum(changes)[:tokens]
    rates = []
    for number in range(1, task.epochs + 1):
        start = time.perf_counter()
        count = sum(len(inputs) for inputs, _ in epoch(number))
        rates.append(count / (time.perf_counter() - start))
    shares = {"once": float((visits == 1).mean()), "never": float((visits == 0).mean())}
    print(json.dumps({"rates": rates, "version": version, **shares}))


def first_tokens(inputs: torch.Tensor, length: int) -> np.ndarray:
    """Return the number of the first token of windows, which begin with their own numbers."""
    first, second = (inputs[:, place].numpy().astype(np.int64) for place in (0, 1))
    assert max(first.max(), second.max()) < BASE, "a window begins between the windows of the file"
    return (first * BASE + second) * length
