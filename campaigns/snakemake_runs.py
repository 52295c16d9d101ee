"""Runs of Snakemake in a project, each in a session of its own."""

import os
import subprocess
import sys
from pathlib import Path

from campaigns.sample_project import REPOSITORY

#: Exit status of a run that was killed because it took too long.
HUNG = 124


def snakemake(
    folder: Path, *arguments: str, seconds: float = 300, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake in a project, in a session of its own; what is left of it is killed.

    Returns:
        The finished process; its status is HUNG where it was killed because it took too long.
    """
    process = start_snakemake(folder, *arguments, variables=variables)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_session(process.pid)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, HUNG, output)
    kill_session(process.pid)
    return subprocess.CompletedProcess(process.args, process.returncode, output)


def start_snakemake(
    folder: Path, *arguments: str, variables: dict[str, str] | None = None
) -> subprocess.Popen:
    """Start Snakemake in a project, in a session of its own."""
    python = Path(sys.executable).parent
    path = os.pathsep.join([str(python), os.environ["PATH"]])
    command = ["-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2"]
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        cwd=folder,
        env=os.environ | {"PATH": path} | (variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def kill_session(session: int) -> None:
    """Kill every process of a session."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if os.getsid(int(entry.name)) == session:
                    os.kill(int(entry.name), 9)
            except (ProcessLookupError, PermissionError):
                continue
