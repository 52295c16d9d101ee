"""Whole trainings by train.py, in a process of their own or in several."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from memtrain.recipes.recipe import Recipe

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "train.py"


def train(
    folder: Path, recipe: Recipe, data: str, processes: int = 1, running: str = "{}"
) -> dict[str, Any]:
    """Run a training, and return what its performance.json holds.

    Args:
        folder: to write to.
        recipe: of the training.
        data: its rows.
        processes: that train together, by torchrun.
        running: as for ``--running``.
    """
    recipe.write(folder / "split.json")
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone"]
        launcher += [f"--nproc-per-node={processes}"]
    outputs = [
        part
        for name in ("model", "history", "performance", "state")
        for part in (f"--{name}", str(folder / name))
    ]
    given = ["--data", data, "--split", str(folder / "split.json"), "--running", running]
    subprocess.run([*launcher, str(SCRIPT), *given, *outputs], check=True, capture_output=True)
    return json.loads((folder / "performance").read_text())
