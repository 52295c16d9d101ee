"""A loop with Lightning Fabric, after its documentation of gradient accumulation."""

from common import task, timed
from lightning.fabric import Fabric
from torch import nn


def main() -> None:
    """Train and print."""
    args, model, optimizer, loader = task()
    fabric = Fabric(accelerator="cpu", devices=1)
    model, optimizer = fabric.setup(model, optimizer)
    loader = fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    def train() -> None:
        for _ in range(args.epochs):
            for number, (features, target) in enumerate(loader, 1):
                accumulates = number % args.steps != 0 and number != len(loader)
                with fabric.no_backward_sync(model, enabled=accumulates):
                    loss = nn.functional.mse_loss(model(features), target)
                    fabric.backward(loss / args.steps)
                if not accumulates:
                    optimizer.step()
                    optimizer.zero_grad()

    timed(train, args.epochs * len(loader.dataset))


if __name__ == "__main__":
    main()
