"""Finds out what a run runs with: its code, its packages, its machine."""

import getpass
import hashlib
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from memtrain.lineage.records.privacy import is_secret
from memtrain.lineage.records.run_record import CodeRoot

#: Environment variables that are always recorded. They change what is computed or tell which job it
#: was, and never hold a secret.
ALLOWED_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "LOCAL_WORLD_SIZE",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "SLURMD_NODENAME",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_PARTITION",
    "SLURM_NTASKS",
    "SLURM_RESTART_COUNT",
    "WORLD_SIZE",
)

_GIT_SECONDS = 5


def code_root(name: str, folder: Path, files: Iterable[Path]) -> CodeRoot:
    """Return the digests of files of code, and the state of git in their folder.

    Args:
        name: the name of the root.
        folder: the folder that the paths of the files are relative to.
        files: the files.
    """
    commit, is_clean = _git_state(folder)
    digests = {
        os.path.relpath(file, folder): "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
    return CodeRoot(name, commit, is_clean, dict(sorted(digests.items())))


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit of a folder and whether it is clean; None and None without git."""
    command = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(
            [*command, "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    lines = done.stdout.splitlines()
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    commit = commits[0] if commits and commits[0] != "(initial)" else None
    return commit, all(line.startswith("#") for line in lines)


def environment(more_variables: Sequence[str] = ()) -> dict[str, Any]:
    """Return the version of Python, the installed packages, and environment variables.

    Args:
        more_variables: names of variables to record beside ``ALLOWED_VARIABLES``. Those whose names
            announce a secret are left out all the same.

    Returns:
        "python", a version; "packages", versions by name; "variables", values by name.
    """
    names = [*ALLOWED_VARIABLES, *(name for name in more_variables if not is_secret(name))]
    return {
        "python": platform.python_version(),
        "packages": _packages(),
        "variables": {name: os.environ[name] for name in sorted(names) if name in os.environ},
    }


def _packages() -> dict[str, str]:
    # Read from the names of folders: importlib.metadata would open a file for each package.
    found: dict[str, str] = {}
    for folder in map(Path, reversed(sys.path)):
        for info in folder.glob("*.dist-info") if folder.is_dir() else ():
            name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
            found[name.lower().replace("_", "-")] = version
    return dict(sorted(found.items()))


def user_name() -> str:
    """Return the name of the user; the number of one that the machine knows no name of."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())


def machine(attempt: int = 1) -> dict[str, Any]:
    """Return facts about the machine, and the job of a cluster that this process belongs to.

    Args:
        attempt: 1 for the first try of the job.
    """
    return {
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "attempt": attempt,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _gpus() -> list[str]:
    # Only if PyTorch is loaded anyway: a script that does not load it computes nothing on a GPU.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
