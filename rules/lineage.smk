"""Record the run of the workflow, and tell its jobs how to record theirs."""

import logging
import shutil
from contextlib import suppress
from dataclasses import replace

from snakemake.logging import logger

from memtrain.cli.entry_point import show_messages
from memtrain.lineage.records.arguments import (
    RecordingOptions,
    recording_command_line,
)
from memtrain.lineage.records.workflow_run import (
    WorkflowRun,
    inherited_run_id,
    new_run_id,
)
from memtrain.system.file_content import text_of_file
from memtrain.workflow.abandoned_locks import find_abandoned_lock
from memtrain.workflow.failed_run import mistakes_of_job
from memtrain.workflow.preempted_jobs import PreemptedJobs
from memtrain.workflow.snakemake_events import SnakemakeEvents
from memtrain.workflow.terminal_summary import results_on_terminal
from memtrain.workflow.terminal import (
    sentence_alone,
    shorten_output,
)

RUN_ID = new_run_id() if workflow.is_main_process else inherited_run_id()


@with_known_parameters
def recording_arguments(wildcards, attempt):
    """Return the arguments that tell a script how to record its run, quoted for the shell.

    The rules take them as a resource, since Snakemake runs no job again when a resource changes.
    """
    return recording_of_attempt(attempt)


@lru_cache
def recording_of_attempt(attempt):
    """Return the arguments for a try of a job."""
    options = RecordingOptions(RESULTS.records, CONFIGURATION.lineage, RUN_ID, attempt)
    return recording_command_line(options)


def start():
    """Do what has to be done before the first job."""
    if not workflow.dryrun:
        write_configuration()
        if DATA != ROWS_FILE:
            # Rows of files are described no longer: the file of rows beside it counts.
            (RESULTS.root / ROWS_FILE).unlink(missing_ok=True)
        with suppress(NotADirectoryError):
            RESULTS.unfinished_run.unlink(missing_ok=True)
        WORKFLOW_RUN.start()
        if not workflow.local_exec and PreemptedJobs.can_be_put_back():
            PreemptedJobs(Path.cwd()).start()


def add_job(job):
    """Record that a job runs, with the reason that its verdict gives."""
    if not workflow.dryrun:
        judge().answers.clear()
    reason = why_job_runs(job.rule, job.part) or job.reason
    WORKFLOW_RUN.add_job(replace(job, reason=reason))


def end(state, failures):
    """Record how the workflow has ended; after a failure, repeat the mistakes that ended jobs."""
    if state == "failed":
        failed = own_failures(failures)
        # A summary that is shown names them, with the beginning of the reasons.
        names_them = summarize_finished(failed)
        mistakes = WORKFLOW_RUN.failures.by_job()
        for job, problems in mistakes.items():
            lines = "\n".join(f"  - {problem}" for problem in problems)
            print(f"{job} cannot be made:\n{lines}", file=sys.stderr)
        for job in failed:
            if not names_them and not mistakes_of_job(job, mistakes):
                print(job.text, file=sys.stderr)
    elif workflow.dryrun:
        if MODULE.is_main_snakefile():
            tell_plan()
    elif not workflow.output_settings.quiet:
        show_summary()
    WORKFLOW_RUN.end(state)
    send_to_trackers()


def show_summary(name="Summary"):
    """Print the results that the summary opens with, and where all of it is; nothing in a module.

    Args:
        name: what to call it.

    Returns:
        Whether something was printed.
    """
    path = RESULTS.summary.parent / "summary.md"
    text = text_of_file(path)
    if text is None or not MODULE.is_main_snakefile():
        return False
    columns = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    print(f"\n{results_on_terminal(text, columns)}\n\n{name}: {path}", file=sys.stderr)
    return True


def asked_for_more():
    """Return whether the user wants to see all that Snakemake can say of a job."""
    asked = workflow.output_settings
    return asked.verbose or asked.printshellcmds or asked.debug_dag


def why_job_runs(rule, part):
    """Return why the results of a job are not current; None for jobs without a verdict.

    Args:
        rule: the name of the rule.
        part: the split, the group of files, or the name of the predictions; None for a job of the
            whole dataset.
    """
    name = names_of_rules(has_part=part is not None).get(rule)
    return None if name is None else verdicts().why(name, part)


@lru_cache
def names_of_rules(has_part):
    """Return the rules with a verdict by the names that they have in this run.

    Args:
        has_part: whether with those whose jobs are of a group of files, or of predictions.
    """
    names = (*RULES_WITH_VERDICT, *(["index_group", "predict"] if has_part else []))
    return {own_rule_name(name): name for name in names}


if workflow.is_main_process:
    show_messages()
    logger.addFilter(sentence_alone(MISTAKES))
    # Snakemake refuses a locked folder in a moment, and does not say that its holder is gone.
    if "--unlock" not in sys.argv and (advice := find_abandoned_lock(Path.cwd())):
        logging.getLogger("memtrain.workflow").warning(advice)
    WORKFLOW_RUN = WorkflowRun(
        RUN_ID,
        RESULTS,
        snakefile=PROJECT / "Snakefile",
        configuration=CONFIGURATION.as_given(),
        required=CONFIGURATION.lineage.required,
        jobs={own_rule_name(path.stem): path.stem for path in SCRIPTS.glob("*.py")}
        | {own_rule_name("index_group"): "index_shards"},
    )
    if MODULE.is_main_snakefile() and not asked_for_more():
        shorten_output(logger, why_job_runs)
    # In place of onstart, onsuccess and onerror, which Snakemake does not run in a module.
    logger.addHandler(SnakemakeEvents(start, add_job, end))
