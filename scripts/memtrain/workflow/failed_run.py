"""Finds out what a run with failed jobs has finished, and why each of the jobs has failed."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from memtrain.workflow.judge import Judge
from memtrain.workflow.today import Today
from memtrain.workflow.unfinished_run import FailedJob, UnfinishedRun

#: Most bytes at the end of a log that are looked at.
_END_OF_LOG = 1 << 16

_LONGEST_REASON = 200

#: The programs that look at the settings first, by the jobs that run them.
_CHECKS = {"import_data": "check_components", "describe_files": "check_components"}

_UNKNOWN = "it ended without saying why; perhaps it was killed"

_TRACEBACK = "Traceback (most recent call last):"

#: How an exception is printed below a traceback: "ValueError: ...", "package.OwnError".
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(: .*)?")


def unfinished_run(today: Today, failed: Iterable[FailedJob]) -> UnfinishedRun:
    """Return what a run has finished although jobs have failed.

    Args:
        today: where the results lie, and what they would be made from now.
        failed: the jobs that have failed.
    """
    judge = Judge(today)
    is_known = judge.rows().is_current and judge.manifest().is_current
    splits = [one for one in today.splits if _is_finished(judge, today, one)] if is_known else []
    return UnfinishedRun(tuple(splits), tuple(failed))


def _is_finished(judge: Judge, today: Today, split: str) -> bool:
    """Return whether the results of a split, figures aside, are those of today."""
    trained = [split, *today.configuration.bases_of(split)]
    if not all(judge.recipe(one).is_current and judge.training(one).is_current for one in trained):
        return False
    return split not in today.evaluated_splits or judge.evaluation(split).is_current


def failed_job(
    job: str,
    split: str | None,
    logs: Sequence[str],
    mistakes: Mapping[str, Sequence[str]],
    *,
    part: str | None = None,
) -> FailedJob:
    """Return a job that has failed, with the reason.

    Args:
        job: the name of its rule, as the script is named.
        split: its split; None for a job of the whole dataset.
        logs: its log files.
        mistakes: the mistakes that ended programs, by names like "train/first".
        part: what tells the job from others of its rule, if that is no split.
    """
    log = logs[0] if logs else None
    failed = FailedJob(job, split, _UNKNOWN, log, part)
    if problems := mistakes_of_job(failed, mistakes):
        return replace(failed, reason=_first_sentence(problems[0]))
    return failed if log is None else replace(failed, reason=_short(reason_in_log(log)))


def mistakes_of_job(job: FailedJob, mistakes: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the mistakes that have ended a job; none where it ended otherwise.

    Args:
        job: the job.
        mistakes: the mistakes that ended programs, by names like "train/first".
    """
    check = _CHECKS.get(job.job, "")
    return mistakes.get(job.name) or mistakes.get(check, ())


def reason_in_log(path: str | os.PathLike) -> str:
    """Return the exception that ended a program, from its log; words where there is none."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _END_OF_LOG))
            text = file.read().decode(errors="replace")
    except OSError:
        return _UNKNOWN
    _, found, below = text.rpartition(_TRACEBACK)
    lines = below.splitlines() if found else []
    return next((line for line in lines if _EXCEPTION.fullmatch(line)), _UNKNOWN)


def _first_sentence(problem: str) -> str:
    """Return what is wrong; what to do about it stands in the log."""
    return _short(re.split(r"(?<=[.!?]) ", problem, maxsplit=1)[0])


def _short(reason: str) -> str:
    text = " ".join(reason.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"
