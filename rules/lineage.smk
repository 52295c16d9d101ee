"""Record the run of the workflow, and let its jobs record theirs."""

from snakemake.logging import logger

from memtrain.lineage.records import recorder
from memtrain.lineage.records.workflow_run import WorkflowRun

# In the environment, for all scripts alike; jobs of a cluster read this file again, and are handed
# the id of the run.
os.environ.update(
    {
        recorder.RECORDS: str(RECORDS),
        recorder.SETTINGS: settings_text(CONFIGURATION.lineage),
    }
)

WORKFLOW_RUN = WorkflowRun(
    RECORDS,
    Path(workflow.main_snakefile),
    CONFIGURATION.as_given(),
    CONFIGURATION.lineage.required,
)

if workflow.is_main_process:
    WORKFLOW_RUN.announce()
else:
    # Snakemake itself knows only once the rules are read.
    told = dict(zip(sys.argv, sys.argv[1:]))
    os.environ[recorder.ATTEMPT] = told.get("--attempt", "1")


def start_recording():
    """Keep that the workflow has started, and listen to what it says of its jobs."""
    WORKFLOW_RUN.start()
    logger.addHandler(WORKFLOW_RUN)


def end_recording_of_failure():
    """Repeat the mistakes that ended jobs, once each and last of all, and keep that it failed."""
    for job, problems in WORKFLOW_RUN.mistakes.by_job().items():
        lines = "\n".join(f"  - {problem}" for problem in problems)
        logger.error(f"{job} cannot be made:\n{lines}")
    WORKFLOW_RUN.end("failed")
