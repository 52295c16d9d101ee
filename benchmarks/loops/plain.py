"""The program that people write first: a DataLoader that fetches an np.memmap row by row."""

import sys

import numpy as np
import torch
from common import print_time
from torch import nn
from torch.utils.data import DataLoader, Dataset


class MemmapRows(Dataset):
    """Rows of a memory map, fetched one at a time."""

    def __init__(self, path: str):
        self.rows = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = self.rows[index]
        return torch.from_numpy(row["features"] * 2 - 1), torch.from_numpy(row["target"].copy())


def main() -> None:
    """Train, and print rows and seconds."""
    path = sys.argv[1]
    hidden, batch_size, accumulation_steps, epochs = map(int, sys.argv[2:])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = MemmapRows(path)
    columns = rows[0][0].shape[0]
    model = nn.Sequential(nn.Linear(columns, hidden), nn.ReLU(), nn.Linear(hidden, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(rows, batch_size=batch_size, shuffle=True)

    def train() -> None:
        for _ in range(epochs):
            for number, (features, target) in enumerate(loader, 1):
                loss = nn.functional.mse_loss(model(features), target)
                (loss / accumulation_steps).backward()
                if number % accumulation_steps == 0 or number == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()

    print_time(train, epochs * len(rows))


if __name__ == "__main__":
    main()
