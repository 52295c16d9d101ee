"""What the loops of others share: the task, rows in memory, and the clock."""

import argparse
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


class Rows(Dataset):
    """Rows in memory, a batch at a time: no loader of PyTorch is faster."""

    def __init__(self, path: str):
        rows = np.load(path)
        self.features = torch.from_numpy(np.ascontiguousarray(rows["features"])) * 2 - 1
        self.target = torch.from_numpy(np.ascontiguousarray(rows["target"]))

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.features[index], self.target[index]


def task() -> tuple[argparse.Namespace, nn.Module, torch.optim.Optimizer, DataLoader]:
    """Return arguments, model, optimizer and loader."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    for name in ("hidden", "batch_size", "steps", "epochs"):
        parser.add_argument(name, type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = Rows(args.data)
    columns = rows.features.shape[1]
    model = nn.Sequential(nn.Linear(columns, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 1))
    # Fused as ours is: it is the loop that is compared.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    sampler = BatchSampler(RandomSampler(rows), args.batch_size, drop_last=False)
    return args, model, optimizer, DataLoader(rows, sampler=sampler, batch_size=None)


def timed(train, rows: int) -> None:
    """Run a training and print its rows and its seconds."""
    start = time.perf_counter()
    train()
    print(rows, time.perf_counter() - start)
