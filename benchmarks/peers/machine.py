"""The machine that the measurements ran on."""

import os
import platform
from pathlib import Path

import numpy as np
import torch


def describe(folder: Path) -> str:
    """Return a line about the machine, and about the disk that a folder lies on."""
    return ", ".join(
        [
            f"{os.cpu_count()} cores",
            platform.machine(),
            f"{platform.system()} {platform.release()}",
            f"read_ahead_kb {_read_ahead(folder)}",
            f"load average {load()}",
            f"Python {platform.python_version()}",
            f"NumPy {np.__version__}",
            f"torch {torch.__version__}",
        ]
    )


def load() -> str:
    """Return the load averages of the last one, five and fifteen minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _read_ahead(folder: Path) -> str:
    """Return the KiB that the kernel reads ahead, which is what a fault on a cold row costs."""
    device = folder.stat().st_dev
    path = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    return path.read_text().strip() if path.exists() else "unknown"
