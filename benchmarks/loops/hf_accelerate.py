"""A loop with Hugging Face Accelerate, as its documentation of accumulation shows it."""

from accelerate import Accelerator
from common import print_time, read_task
from torch import nn


def main() -> None:
    """Train, and print rows and seconds."""
    task = read_task()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=task.accumulation_steps)
    # Accelerate cannot wrap this loader, which yields whole batches already.
    model, optimizer = accelerator.prepare(task.model, task.optimizer)

    def train() -> None:
        for _ in range(task.epochs):
            for features, target in task.loader:
                with accelerator.accumulate(model):
                    loss = nn.functional.mse_loss(model(features), target)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()

    print_time(train, task.rows)


if __name__ == "__main__":
    main()
