"""Mistakes of the user's that ended jobs, kept for as long as one call of the workflow lasts.

Snakemake runs a job again whatever the reason for its failure. The second try of a job that failed
by a mistake finds the mistake here and ends with the same words at once; and the workflow repeats
all mistakes at its end, below all other output.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text
from memtrain.system.file_content import read_bytes


class KnownFailures:
    """The mistakes that ended jobs of one call of the workflow.

    Args:
        records: the folder of the records; None where no records are kept, and no mistakes either.
        workflow_run: the id of the run of the workflow; None outside of one.
    """

    def __init__(self, records: str | os.PathLike | None, workflow_run: str | None):
        self._folder = Path(records, "mistakes", workflow_run) if records and workflow_run else None

    def remember(self, job: str, problems: Sequence[str]) -> None:
        """Keep the problems that ended a job. If they cannot be written, the next try finds them.

        Args:
            job: the name of the job, like "train/first".
            problems: a sentence or two each.
        """
        if self._folder is None:
            return
        content = {"job": job, "problems": list(problems)}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(self._folder / f"{job.replace('/', '.')}.json", json.dumps(content))
        except OSError:
            pass

    def raise_known(self, job: str) -> None:
        """Raise the mistake that ended an earlier try of a job, if there was one.

        Raises:
            UserError: with the same problems.
        """
        if problems := self.by_job().get(job):
            raise UserError(*problems)

    def by_job(self) -> dict[str, list[str]]:
        """Return the problems of every job that ended by a mistake, by the name of the job."""
        found: dict[str, list[str]] = {}
        for path in sorted(self._folder.glob("*.json")) if self._folder else ():
            try:
                content = canonical_json.parse(read_bytes(path))
                found[str(content["job"])] = [str(problem) for problem in content["problems"]]
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return found

    def forget(self) -> None:
        """Remove all mistakes, when the call of the workflow is over."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
