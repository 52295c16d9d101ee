"""Tells of the lock of a Snakemake that was killed, which makes the next call end with an error."""

import os
from pathlib import Path

import psutil


def find_abandoned_lock(folder: str | os.PathLike) -> str | None:
    """Return what a user can do about the lock of a killed Snakemake.

    Args:
        folder: folder that Snakemake works in.

    Returns:
        The advice; None if nothing is locked, or if a Snakemake on this machine may hold the lock.
    """
    locks = locks_of_snakemake(folder)
    if not locks or _is_snakemake_running(folder):
        return None
    return (
        f"{locks[0].parent}: a Snakemake has locked this folder, and none that could is running "
        "on this machine, so it was killed. Unless it runs on another machine, call `snakemake "
        "--unlock`, then Snakemake again: trainings go on from their last checkpoint."
    )


def locks_of_snakemake(folder: str | os.PathLike) -> list[Path]:
    """Return the files by which a Snakemake locks a folder; none where none works in it."""
    return sorted(Path(folder, ".snakemake", "locks").glob("*.lock"))


def _is_snakemake_running(folder: str | os.PathLike) -> bool:
    """Return whether another Snakemake may be working in a folder."""
    this = psutil.Process()
    # Their command lines may name Snakemake, as those of `sh -c "snakemake ..."` and `uv run` do.
    callers = {this.pid, *(process.pid for process in this.parents())}
    for process in psutil.process_iter():
        try:
            if process.pid in callers or not _is_snakemake(process.cmdline()):
                continue
            if os.path.samefile(process.cwd(), folder):
                return True
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue  # It has ended.
        except (psutil.AccessDenied, PermissionError):
            return True  # The Snakemake of another user, whose folder nobody else may see.
    return False


def _is_snakemake(command_line: list[str]) -> bool:
    """Return whether a command line is that of Snakemake, called by its name or by `python -m`."""
    return any(os.path.basename(argument) == "snakemake" for argument in command_line[:4])
