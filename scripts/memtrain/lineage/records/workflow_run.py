"""The record of a run of the whole workflow: how it was called, and why each job ran."""

import getpass
import logging
import os
import platform
import sys
from pathlib import Path
from typing import Any

from memtrain.lineage.records.environment_capture import code_root, environment, machine
from memtrain.lineage.records.known_failures import Mistakes
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.recorder import PARENT_RUN, now
from memtrain.lineage.records.run_record import RunRecord, State


class WorkflowRun(logging.Handler):
    """Records one call of Snakemake; a handler of its log, which tells of every job.

    Its id is in the environment from the start, so that all jobs find it, those of a cluster too.

    Args:
        records: the folder of the records.
        snakefile: of the workflow.
        configuration: as it was understood.
        required: whether to stop where it cannot be recorded.
    """

    def __init__(
        self,
        records: Path,
        snakefile: Path,
        configuration: dict[str, Any],
        required: bool,
    ):
        super().__init__()
        self._store, self._required = RecordStore(records), required
        self._snakefile, self._configuration = snakefile, configuration
        self._jobs: list[dict[str, Any]] = []
        self._record: RunRecord | None = None

    def announce(self) -> None:
        """Give the run its id, for the jobs to find."""
        # Imported here: jobs of a cluster read the rules too, and need none of it.
        from openlineage.client.uuid import generate_new_uuid

        os.environ[PARENT_RUN] = str(generate_new_uuid())

    @property
    def mistakes(self) -> Mistakes:
        """The mistakes that have ended jobs of this run."""
        return Mistakes(self._store.folder, os.environ.get(PARENT_RUN))

    def start(self) -> None:
        """Keep that the workflow has started."""
        from importlib.metadata import version

        privacy, rules = Privacy(Path.cwd()), self._snakefile.parent / "rules"
        self._record = RunRecord(
            run_id=os.environ[PARENT_RUN],
            job="workflow",
            started_at=now(),
            code=[
                code_root(
                    "memtrain",
                    self._snakefile.parent,
                    [self._snakefile, *sorted(rules.glob("*.smk"))],
                )
            ],
            environment=environment(),
            machine=machine(),
            details={
                "workflow": {
                    "command": privacy.text(" ".join(sys.argv[1:])),
                    "user": getpass.getuser(),
                    "snakemake": version("snakemake"),
                    "python": platform.python_version(),
                    "configuration": privacy.content(self._configuration),
                    "jobs": self._jobs,
                }
            },
        )
        self._keep(self._store.started)

    def end(self, state: State) -> None:
        """Keep how the workflow has ended, with the reasons of its jobs."""
        if self._record is not None:
            self._record.ended_at, self._record.state = now(), state
            self._keep(self._store.ended)
        self.mistakes.forget()

    def emit(self, record: logging.LogRecord) -> None:
        """Take from Snakemake's log which job runs, and why."""
        if getattr(getattr(record, "event", None), "value", None) != "job_info":
            return
        self._jobs.append(
            {
                "job": record.rule_name,
                "split": (record.wildcards or {}).get("split"),
                "reason": Privacy(Path.cwd()).text(record.reason),
            }
        )

    def _keep(self, how: Any) -> None:
        try:
            how(self._record)
        except OSError as error:
            if self._required:
                raise
            print(f"warning: the workflow's run cannot be recorded ({error}).", file=sys.stderr)
