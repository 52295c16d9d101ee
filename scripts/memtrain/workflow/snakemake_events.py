"""What happens in a run of Snakemake, as its log tells it.

Snakemake runs the hooks ``onstart``, ``onsuccess`` and ``onerror`` of the main Snakefile alone. A
workflow that another one uses as a module learns here when jobs start, and how the run ends.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from memtrain.workflow.group_failures import failed_itself

#: What Snakemake says when it was asked to stop, at once or after the jobs that run.
_STOPPED = ("Terminating processes on user request", "Will exit after finishing currently running")

EndState = Literal["completed", "failed"]


@dataclass(frozen=True)
class JobStart:
    """A job that Snakemake runs.

    Attributes:
        rule: the name of the rule.
        split: the value of the wildcard `split`; None for a rule without it.
        part: the value of the wildcard, whatever it is called; None for a rule without one.
        outputs: the paths of the outputs.
        reason: why Snakemake runs the job.
    """

    rule: str
    split: str | None
    part: str | None
    outputs: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class JobFailure:
    """A job that has failed, and was not tried again with success.

    Attributes:
        start: what was told of it when it ran last.
        logs: the paths of its logs.
    """

    start: JobStart
    logs: tuple[str, ...]


class SnakemakeEvents(logging.Handler):
    """A handler of Snakemake's log that calls functions when something has happened.

    Args:
        on_start: called once, before the first job. A dry run calls it too.
        on_job: called for every job, before it runs.
        on_end: called once, when the run has ended, with the jobs that have failed; never for a
            run that did not start. Where the user has stopped the run, no job has failed.
    """

    def __init__(
        self,
        on_start: Callable[[], None],
        on_job: Callable[[JobStart], None],
        on_end: Callable[[EndState, Sequence[JobFailure]], None],
    ):
        super().__init__()
        self._on_start = on_start
        self._on_job = on_job
        self._on_end = on_end
        self._has_started = False
        self._has_ended = False
        self._failed = False
        self._was_stopped = False
        self._jobs: dict[int, JobStart] = {}
        self._failures: dict[int, JobFailure] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event from the log."""
        facts = vars(record)
        event = getattr(facts.get("event"), "value", None)
        if record.levelno >= logging.ERROR:
            self._failed = True
        if event == "run_info" and not self._has_started:
            self._has_started = True
            self._on_start()
        elif event == "job_info":
            self._jobs[facts["jobid"]] = _job_start(facts)
            self._on_job(self._jobs[facts["jobid"]])
        elif event == "job_error" and facts["jobid"] in self._jobs:
            if failed_itself(facts):
                logs = tuple(map(str, facts["log"] or ()))
                self._failures[facts["jobid"]] = JobFailure(self._jobs[facts["jobid"]], logs)
        elif event == "job_finished":
            # The error may have been that of a job that is tried again. Where the run fails,
            # Snakemake logs one more error after its last job.
            self._failed = False
            self._failures.pop(facts["job_id"], None)
        elif record.getMessage().startswith(_STOPPED):
            self._was_stopped = True

    def close(self) -> None:
        """Call ``on_end``, if it was not called: Snakemake closes its handlers when it ends."""
        super().close()
        if self._has_started and not self._has_ended:
            self._has_ended = True
            failures = [] if self._was_stopped else list(self._failures.values())
            self._on_end("failed" if self._failed else "completed", failures)


def _job_start(facts: Mapping[str, Any]) -> JobStart:
    """Return the job that an event of Snakemake's log tells of."""
    wildcards = facts["wildcards"] or {}
    return JobStart(
        rule=facts["rule_name"],
        split=wildcards.get("split"),
        part="/".join(map(str, wildcards.values())) or None,
        outputs=tuple(map(str, facts["output"] or ())),
        reason=facts["reason"] or "",
    )
