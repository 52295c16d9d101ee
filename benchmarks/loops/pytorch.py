"""A loop in plain PyTorch, with the fastest loader and optimizer."""

from common import print_time, read_task
from torch import nn


def main() -> None:
    """Train, and print rows and seconds."""
    task = read_task()
    model = task.model
    optimizer = task.optimizer

    def train() -> None:
        for _ in range(task.epochs):
            for number, (features, target) in enumerate(task.loader, 1):
                loss = nn.functional.mse_loss(model(features), target)
                (loss / task.accumulation_steps).backward()
                if number % task.accumulation_steps == 0 or number == len(task.loader):
                    optimizer.step()
                    optimizer.zero_grad()

    print_time(train, task.rows)


if __name__ == "__main__":
    main()
