"""A loop with Hugging Face Accelerate, after its documentation of gradient accumulation."""

from accelerate import Accelerator
from common import task, timed
from torch import nn


def main() -> None:
    """Train and print."""
    args, model, optimizer, loader = task()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=args.steps)
    # Its own loader would wrap ours, which it does not take: rows come batch by batch already.
    model, optimizer = accelerator.prepare(model, optimizer)

    def train() -> None:
        for _ in range(args.epochs):
            for features, target in loader:
                with accelerator.accumulate(model):
                    loss = nn.functional.mse_loss(model(features), target)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()

    timed(train, args.epochs * len(loader.dataset))


if __name__ == "__main__":
    main()
