"""An optimizer as users write them, with state of its own; projects of tests have it in theirs."""

import torch


class Lookahead(torch.optim.Optimizer):
    """Every third step, the weights go half of the way back to where they were."""

    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "steps": 0})

    @torch.no_grad()
    def step(self):
        """Change the weights by their gradients."""
        for group in self.param_groups:
            group["steps"] += 1
            for part in group["params"]:
                if part.grad is None:
                    continue
                slow = self.state[part].setdefault("slow", part.clone())
                part.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * part.grad)
                if group["steps"] % 3 == 0:
                    slow.lerp_(part, 0.5)
                    part.copy_(slow)
