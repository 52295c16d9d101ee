"""Projects of many small splits, resolved and not yet trained, to measure the workflow with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ["Snakefile", "rules", "scripts", "profiles", "envs", "report"]


def make_resolved_project(folder: Path, splits: int, rows_trained: int) -> Path:
    """Copy the code into a folder, and resolve splits s0, s1, ... of the dataset x.

    Args:
        folder: of the project; made where it is missing.
        splits: how many.
        rows_trained: of each.
    """
    folder.mkdir(exist_ok=True)
    for name in CODE:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, folder / name)
    configuration = {
        "dataset": {"name": "x", "mock": {"rows": 10_000, "features": 3}},
        "splits": {
            f"s{number}": {"train": [number, number + rows_trained], "evaluate": [9000, 9100]}
            for number in range(splits)
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))
    snakemake(folder, "--quiet", "all", "--until", "resolve_splits")
    return folder


def snakemake(folder: Path, *arguments: str) -> None:
    """Run Snakemake in a folder."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def environment() -> dict[str, str]:
    """Return the environment in which rules find this Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path}
