"""A training whose optimizer and schedule are made of many parts, some of them the user's own."""

#: What stands in the user's module in addition.
OWN = """

class Lookahead(torch.optim.Optimizer):
    # Every third step, the weights go half of the way back to where they were.
    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "steps": 0})

    @torch.no_grad()
    def step(self):
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


def inverse_root(step, power=0.5):
    return (step + 1) ** -power
"""

#: With groups, an optimizer and a function of the user's own, and a schedule made of many.
CASE = {
    "model": {"name": "mlp", "hidden": [32, 16], "dropout": 0.2},
    "optimizer": {
        "name": "own:Lookahead",
        "lr": 0.02,
        "weight_decay": 0.1,
        "no_decay": ["bias"],
        "groups": [{"match": "layers.0.*", "lr": 0.01}],
    },
    "scheduler": {
        "name": "SequentialLR",
        "warmup": "10%",
        "schedulers": [
            {"name": "own:inverse_root", "power": 0.3},
            {
                "name": "ChainedScheduler",
                "schedulers": [
                    {"name": "MultiStepLR", "milestones": ["40%", "80%"]},
                    {"name": "MultiplicativeLR", "lr_lambda": "own:inverse_root"},
                ],
            },
            "CosineAnnealingLR",
        ],
        "milestones": ["30%", "60%"],
    },
    "last_window": "step",
}
