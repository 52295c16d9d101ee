"""What the loops share: arguments, rows in memory, and the measurement of time."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


class Rows(Dataset):
    """Rows in memory, fetched batch by batch: no loader of PyTorch is faster."""

    def __init__(self, path: str):
        rows = np.load(path)
        self.features = torch.from_numpy(np.ascontiguousarray(rows["features"])) * 2 - 1
        self.target = torch.from_numpy(np.ascontiguousarray(rows["target"]))

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.features[index], self.target[index]


@dataclass(frozen=True)
class Task:
    """A training, ready to run.

    Attributes:
        accumulation_steps: micro-batches of an optimizer step.
        epochs: number of epochs.
        model: the network, with one hidden layer.
        optimizer: Adam on its parameters.
        loader: loader of the micro-batches.
    """

    accumulation_steps: int
    epochs: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    loader: DataLoader

    @property
    def rows(self) -> int:
        """Rows that the training takes in, over all epochs."""
        return self.epochs * len(self.loader.dataset)


def read_task() -> Task:
    """Return the training that the command line describes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    for name in ("hidden", "batch_size", "accumulation_steps", "epochs"):
        parser.add_argument(name, type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = Rows(args.data)
    columns = rows.features.shape[1]
    model = nn.Sequential(nn.Linear(columns, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 1))
    # Fused as in memtrain, since only the loops are compared.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    sampler = BatchSampler(RandomSampler(rows), args.batch_size, drop_last=False)
    loader = DataLoader(rows, sampler=sampler, batch_size=None)
    return Task(args.accumulation_steps, args.epochs, model, optimizer, loader)


def print_time(train: Callable[[], None], rows: int) -> None:
    """Run a training, and print its rows and its seconds."""
    start = time.perf_counter()
    train()
    print(rows, time.perf_counter() - start)
