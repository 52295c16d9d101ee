"""Mistakes of the user's that ended jobs, kept for as long as one call of the workflow lasts.

Snakemake runs a job again whatever it failed of. A try that follows a mistake finds it here, and
ends with the same words; the workflow repeats them at its end, below all other output.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.system.atomic_files import write_text


class Mistakes:
    """The mistakes of one call of the workflow.

    Args:
        records: the folder of the records; None where none are kept, and no mistakes either.
        run_id: of the workflow; None outside of one.
    """

    def __init__(self, records: str | os.PathLike | None, run_id: str | None):
        self._folder = Path(records, "mistakes", run_id) if records and run_id else None

    def remember(self, job: str, problems: Sequence[str]) -> None:
        """Keep what was wrong with a job. Where that cannot be written, it is made again."""
        if self._folder is None:
            return
        content = {"job": job, "problems": list(problems)}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(self._folder / f"{job.replace('/', '.')}.json", json.dumps(content))
        except OSError:
            pass

    def raise_known(self, job: str) -> None:
        """Raise the mistake that ended an earlier try.

        Raises:
            UserError: with the same problems.
        """
        if problems := self.by_job().get(job):
            raise UserError(*problems)

    def by_job(self) -> dict[str, list[str]]:
        """Return the problems of every job that ended by a mistake."""
        found = {}
        for path in sorted(self._folder.glob("*.json")) if self._folder else ():
            try:
                content = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            found[content["job"]] = content["problems"]
        return found

    def forget(self) -> None:
        """Remove them all: the call is over."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
