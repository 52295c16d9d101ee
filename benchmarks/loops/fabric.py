"""A loop with Lightning Fabric, as its documentation of gradient accumulation shows it."""

from common import print_time, read_task
from lightning.fabric import Fabric
from torch import nn


def main() -> None:
    """Train, and print rows and seconds."""
    task = read_task()
    fabric = Fabric(accelerator="cpu", devices=1)
    model, optimizer = fabric.setup(task.model, task.optimizer)
    loader = fabric.setup_dataloaders(task.loader, use_distributed_sampler=False)

    def train() -> None:
        for _ in range(task.epochs):
            for number, (features, target) in enumerate(loader, 1):
                accumulates = number % task.accumulation_steps != 0 and number != len(loader)
                with fabric.no_backward_sync(model, enabled=accumulates):
                    loss = nn.functional.mse_loss(model(features), target)
                    fabric.backward(loss / task.accumulation_steps)
                if not accumulates:
                    optimizer.step()
                    optimizer.zero_grad()

    print_time(train, task.rows)


if __name__ == "__main__":
    main()
