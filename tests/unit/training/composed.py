"""A training whose optimizer and schedule are made of many parts, some of them the user's own."""

from pathlib import Path

_OPTIMIZER = Path(__file__).parents[3] / "campaigns" / "lookahead.py"

#: What stands in the user's module in addition.
OWN = (
    _OPTIMIZER.read_text()
    + """

def inverse_root(step, power=0.5):
    return (step + 1) ** -power
"""
)

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
