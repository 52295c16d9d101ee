"""The record of a run of the whole workflow: how it was called, and why each job ran."""

import logging
import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from memtrain.config.results import ResultsLayout
from memtrain.lineage.records.environment_capture import code_root, environment, machine, user_name
from memtrain.lineage.records.known_failures import KnownFailures
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_id import new_uuid
from memtrain.lineage.records.run_record import RunRecord, State, utc_now
from memtrain.workflow.snakemake_events import JobStart

#: Environment variable with the id of the run of the workflow. Snakemake on the node of a cluster
#: reads the rules again, and shares only the environment with the Snakemake that submitted the job.
#: Only the rules read the variable: scripts get the id as an argument.
_RUN_ID = "MEMTRAIN_RUN"

_log = logging.getLogger(__name__)


@cache
def new_run_id() -> str:
    """Return a new id for the run of the workflow that this process is, and keep it for its jobs.

    Every call in a process returns the same id: one call of Snakemake is one run, however many
    modules it has.
    """
    os.environ[_RUN_ID] = new_uuid()
    return os.environ[_RUN_ID]


def inherited_run_id() -> str | None:
    """Return the id of the run of the workflow that started this process; None if none did."""
    return os.environ.get(_RUN_ID)


class WorkflowRun:
    """Records one call of Snakemake.

    Args:
        run_id: the id of the run.
        results: where the results lie. Jobs that write elsewhere are those of another workflow,
            which is run by the same call.
        snakefile: the Snakefile of this workflow.
        configuration: the configuration as it was understood.
        required: whether to stop the workflow if its run cannot be recorded.
        jobs: names of jobs by the names of their rules, which a module may have renamed.
    """

    def __init__(
        self,
        run_id: str,
        results: ResultsLayout,
        *,
        snakefile: Path,
        configuration: dict[str, Any],
        required: bool,
        jobs: Mapping[str, str],
    ):
        self._run_id = run_id
        self._results = results
        self._job_names = jobs
        self._store = RecordStore(results.records)
        self._snakefile = snakefile
        self._configuration = configuration
        self._required = required
        self._jobs: list[dict[str, Any]] = []
        self._record: RunRecord | None = None

    @property
    def failures(self) -> KnownFailures:
        """The mistakes that have ended jobs of this run."""
        return KnownFailures(self._store.folder, self._run_id)

    def start(self) -> None:
        """Record that the workflow has started."""
        from importlib.metadata import version

        privacy = Privacy(Path.cwd())
        folder = self._snakefile.parent
        rules = [self._snakefile, *sorted((folder / "rules").glob("*.smk"))]
        self._record = RunRecord(
            run_id=self._run_id,
            job="workflow",
            started_at=utc_now(),
            code=[code_root("memtrain", folder, rules)],
            environment=privacy.content(environment()),
            machine=privacy.content(machine()),
            details={
                "workflow": {
                    "command": privacy.text(shlex.join(sys.argv[1:])),
                    "user": privacy.text(user_name()),
                    "snakemake": version("snakemake"),
                    "python": platform.python_version(),
                    "configuration": privacy.content(self._configuration),
                    "jobs": self._jobs,
                }
            },
        )
        self._keep(self._store.started, self._record)

    def end(self, state: State) -> None:
        """Record how the workflow has ended, and why its jobs ran."""
        if self._record is not None:
            self._record.ended_at = utc_now()
            self._record.state = state
            self._keep(self._store.ended, self._record)
        self.failures.forget()

    def add_job(self, job: JobStart) -> None:
        """Note which job runs, and why."""
        if self.is_own(job):
            reason = Privacy(Path.cwd()).text(job.reason)
            name = {"job": self.job_name(job), "split": job.split, "part": job.part}
            self._jobs.append(name | {"reason": reason})

    def is_own(self, job: JobStart) -> bool:
        """Return whether a job is one of this workflow: it writes below the folder of results."""
        return any(Path(path).is_relative_to(self._results.root) for path in job.outputs)

    def job_name(self, job: JobStart) -> str:
        """Return the name of a job, as its script is named."""
        return self._job_names.get(job.rule, job.rule)

    def _keep(self, write: Callable[[RunRecord], None], record: RunRecord) -> None:
        try:
            write(record)
        except OSError as error:
            if self._required:
                raise
            _log.warning("the workflow's run cannot be recorded (%s).", error)
