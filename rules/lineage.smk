"""Record the run of the workflow, and let its jobs record theirs."""

from snakemake.logging import logger

from memtrain.lineage.records.arguments import (
    RecordingOptions,
    recording_command_line,
)
from memtrain.lineage.records.workflow_run import (
    WorkflowRun,
    inherited_run_id,
    new_run_id,
)

RUN_ID = new_run_id() if workflow.is_main_process else inherited_run_id()

WORKFLOW_RUN = WorkflowRun(
    RUN_ID,
    RECORDS,
    snakefile=Path(workflow.main_snakefile),
    configuration=CONFIGURATION.as_given(),
    required=CONFIGURATION.lineage.required,
)


def recording_arguments(wildcards, attempt):
    """Return the arguments by which a script records its run, quoted for the shell.

    They are a resource, since Snakemake runs no job again for those.
    """
    options = RecordingOptions(RECORDS, CONFIGURATION.lineage, RUN_ID, attempt)
    return recording_command_line(options)


def start_recording():
    """Keep that the workflow has started, and listen to what it says of its jobs."""
    WORKFLOW_RUN.start()
    logger.addHandler(WORKFLOW_RUN)


def end_recording_of_failure():
    """Repeat the mistakes that ended jobs, once each and last of all, and keep that it failed."""
    for job, problems in WORKFLOW_RUN.failures.by_job().items():
        lines = "\n".join(f"  - {problem}" for problem in problems)
        logger.error(f"{job} cannot be made:\n{lines}")
    WORKFLOW_RUN.end("failed")
