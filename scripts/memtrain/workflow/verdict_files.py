"""Verdict files: inputs by which Snakemake learns whether a result is current.

No rule makes a verdict file. Where the result of a rule is current, its verdict is older than any
result. Where it is not, the verdict is newer than the result, and its text is new, since Snakemake
compares the content of small inputs before their times. So with `rerun-triggers: mtime` Snakemake
runs exactly the rules whose verdicts say so, whatever happened to the times of other files.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from memtrain.system.file_content import text_of_file
from memtrain.system.writing_errors import told_in_a_sentence

_CURRENT = "current\n"
_NEW = "new\n"

#: A time that is older than any result, in seconds since 1970.
_ANCIENT = 86_400.0

#: How much newer than a stale result its verdict is. Not "now", since the clock may have been
#: ahead when the result was written; and not the far future, since Snakemake fails jobs whose
#: outputs are older than their inputs.
_LATER_SECONDS = 0.01


def write_current(path: Path) -> None:
    """Write the verdict that a result is current; a file that says so already stays as it is."""
    _write_old(path, _CURRENT)


def write_new(path: Path) -> None:
    """Write the verdict on results that are not there, which Snakemake makes in any case."""
    _write_old(path, _NEW)


def write_stale(path: Path, reasons: Iterable[str], results: Iterable[Path]) -> None:
    """Write the verdict that results have to be made again.

    Args:
        path: the verdict file.
        reasons: why.
        results: the files of the results.
    """
    found = [result for result in results if result.exists()]
    oldest = min((os.stat(result).st_mtime for result in found), default=_ANCIENT)
    _write(path, "".join(f"{line}\n" for line in [*reasons, f"noticed at {time.time_ns()}"]))
    os.utime(path, (oldest + _LATER_SECONDS, oldest + _LATER_SECONDS))


def set_back_to_now(paths: Iterable[Path]) -> None:
    """Give files with times in the future the time that it is.

    The clock was ahead when they were written, or has been set back since. Snakemake fails jobs
    whose outputs are older than their inputs.
    """
    now = time.time()
    for path in paths:
        if os.stat(path).st_mtime > now:
            os.utime(path, (now, now))


def _write_old(path: Path, text: str) -> None:
    """Write a verdict that is older than any result, if it does not stand there already."""
    if text_of_file(path) != text:
        _write(path, text)
    if os.stat(path).st_mtime != _ANCIENT:
        os.utime(path, (_ANCIENT, _ANCIENT))


def _write(path: Path, text: str) -> None:
    """Write a verdict in place: every call of Snakemake judges anew, so none has to be kept.

    Syncing thousands of files, as those of results are, takes longer than all the rest.
    """
    with told_in_a_sentence(path):
        # A device, or a link to one, would be written into, and its times changed.
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
