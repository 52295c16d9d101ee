"""What Snakemake prints of a run: a line for each job, failures whole.

Snakemake's own text of a job lists all files, resources and the command. It still stands in its log
(``.snakemake/log``), and on the terminal with ``--verbose`` or ``--printshellcmds``.
"""

import logging
import re
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any

from snakemake.logging import ColorizingTextHandler, DefaultFormatter

from memtrain.workflow.group_failures import failed_itself

#: Returns why the results of a job are not current; None where that is not known.
Why = Callable[[str, str | None], str | None]

#: Snakemake's messages of what it does for every job, or of what is always so.
_SAID_ALWAYS = re.compile(
    r"Building DAG of jobs\.\.\.|Updating checkpoint dependencies\.|Select jobs to execute\.\.\.|"
    r"Execute \d+ jobs\.\.\.|Using shell: .*|Provided cores: .*|Conda environments: ignored|"
    r"Rules claiming more threads will be scaled down\.|Elapsed time: .*"
)

_SECONDS_BETWEEN_PROGRESS = 5.0
_LONGEST_REASON = 160


class ShortFormatter(DefaultFormatter):
    """Formats Snakemake's messages, most of them in a line or not at all.

    Args:
        why: why the results of a job are not current, by the name of its rule and the split.
        before: the formatter that it replaces.
    """

    def __init__(self, why: Why, before: DefaultFormatter):
        super().__init__(before.quiet, before.show_failed_logs)
        self._why = why
        self._told_progress_at = 0.0

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a message; "" for one that is not printed."""
        text = super().format(record)
        is_usual = record.levelno == logging.INFO and _SAID_ALWAYS.fullmatch(text)
        return "" if is_usual else text

    def format_workflow_started(self, msg: dict[str, Any]) -> str:
        """Leave out what the log file says of the machine."""
        return ""

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """Return what runs, of which split or group of files, and why."""
        kind = "checkpoint" if msg["is_checkpoint"] else "rule"
        wildcards = msg["wildcards"] or {}
        kind_of_part = next(
            (one for one in ("split", "group", "prediction") if one in wildcards), None
        )
        part = wildcards.get(kind_of_part)
        why = self._why(msg["rule_name"], part) or msg["reason"] or ""
        parts = [
            f"{'local' if msg['local'] else ''}{kind} {msg['rule_name']}:",
            f" {kind_of_part} {part}" if part else "",
            f"{',' if part else ''} {_short(why)}" if why and msg["output"] else "",
        ]
        return "".join(parts)

    def format_job_finished(self, msg: dict[str, Any]) -> str:
        """Leave it to the line on the progress."""
        return ""

    def format_job_error(self, msg: dict[str, Any]) -> str:
        """Leave out a job that counts as failed for another one of its group."""
        return super().format_job_error(msg) if failed_itself(msg) else ""

    def _format_group_error(self, msg: dict[str, Any]) -> list[str]:
        """Return how many jobs a group has; those that failed have messages of their own."""
        count = len(msg["job_error_info"])
        return [f"A job of the cluster has failed that {count} jobs share. Of these have failed:"]

    def format_progress(self, msg: dict[str, Any]) -> str:
        """Return how many jobs are done, now and then, and when all are."""
        now = time.monotonic()
        is_due = now - self._told_progress_at >= _SECONDS_BETWEEN_PROGRESS
        if not is_due and msg["done"] != msg["total"]:
            return ""
        self._told_progress_at = now
        return super().format_progress(msg)


class _Handler(ColorizingTextHandler):
    """Writes without an empty line before each job."""

    last_msg_was_job_info = property(lambda self: True, lambda self, value: None)


def shorten_output(logger: logging.Logger, why: Why) -> None:
    """Let Snakemake print a line for each job.

    A handler of another log, which the user may have chosen, stays as it is.

    Args:
        logger: Snakemake's logger.
        why: why the results of a job are not current, by the name of its rule and the split.
    """
    for handler in list(logger.handlers):
        formatter = handler.formatter
        if isinstance(handler, ColorizingTextHandler) and isinstance(formatter, DefaultFormatter):
            short = _Handler(handler.nocolor, handler.stream, ShortFormatter(why, formatter))
            for chosen in handler.filters:
                short.addFilter(chosen)
            short.setLevel(handler.level)
            short.name = handler.name
            logger.removeHandler(handler)
            logger.addHandler(short)


def sentence_alone(mistakes: Sequence[str]) -> Callable[[logging.LogRecord], bool]:
    """Return a filter of log records that leaves of a mistake of the user's the sentence alone.

    What an input function raises, Snakemake tells with the rule, its wildcards and the lines of
    code that it passed.

    Args:
        mistakes: the mistakes that input functions have raised so far; it may grow.
    """

    def shorten(record: logging.LogRecord) -> bool:
        if getattr(record, "exception", None) == "InputFunctionException":
            text = record.getMessage()
            found = next((mistake for mistake in mistakes if mistake in text), None)
            if found is not None:
                record.msg, record.args = f"Error: {found}", ()
        return True

    return shorten


def _short(reason: str) -> str:
    return textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...")
