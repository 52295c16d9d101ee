"""Projects with many small splits that are resolved and not yet trained."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ["Snakefile", "rules", "scripts", "profiles", "envs", "report"]


def make_resolved_project(folder: Path, splits: int, rows_trained: int) -> Path:
    """Copy the code into a folder, and resolve the splits s0, s1, ... of the dataset x.

    Args:
        folder: folder of the project; it is made if it is missing.
        splits: number of splits.
        rows_trained: training rows of each split.
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
    """Return environment variables with which rules find this Python first.

    Programs keep what they compile, as those of users do.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PATH": path}
