"""After a run with failed jobs: summarize the splits that are finished, and name the others."""

import subprocess

from memtrain.workflow.failed_run import failed_job, unfinished_run


def own_failures(failures):
    """Return those of the jobs that have failed which are of this workflow, with the reasons."""
    mistakes = WORKFLOW_RUN.failures.by_job()
    return [
        failed_job(
            WORKFLOW_RUN.job_name(one.start),
            one.start.split,
            one.logs,
            mistakes,
            part=one.start.part,
        )
        for one in failures
        if WORKFLOW_RUN.is_own(one.start)
    ]


def summarize_finished(failed):
    """Summarize what is finished although jobs have failed; return whether that was shown.

    The summary says of itself that it is partial, so that the next call makes it anew. Where nothing
    is finished, or the rules have made the summary, there is nothing to do.

    Args:
        failed: the jobs of this workflow that have failed.
    """
    if not failed or "summarize" in {one.job for one in failed}:
        return False
    try:
        run = unfinished_run(today(), failed)
        if not run.finished:
            return False
        run.write(RESULTS.unfinished_run)
    except UserError as error:
        # How the workflow has ended is recorded after this, whatever there is to summarize.
        print(f"What is finished cannot be summarized: {error}", file=sys.stderr)
        return False
    done = subprocess.run(
        command_of_partial_summary(), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return show_summary("Summary of what is finished")
    sys.stderr.write(f"What is finished cannot be summarized:\n{done.stderr}")
    return False


def command_of_partial_summary():
    """Return the command that writes the files of rule summarize over what is finished."""
    folder = RESULTS.summary.parent
    return [
        *(sys.executable, str(SCRIPTS / "summarize.py")),
        *("--config", str(RESULTS.configuration), "--splits", str(RESULTS.splits)),
        *("--benchmarks", str(RESULTS.benchmarks)),
        *("--partial", str(RESULTS.unfinished_run)),
        *("--csv", str(folder / "summary.csv"), "--table", str(folder / "summary.md")),
        *("--html", str(folder / "summary.html")),
        *(
            "--figure",
            str(folder / "comparison.png"),
            "--page",
            str(folder / "lineage.html"),
        ),
        *("--made-from", str(RESULTS.summary), "--manifest", str(RESULTS.manifest)),
        *("--withdrawals", path_without_prefix(WITHDRAWALS_FILE)),
        *shlex.split(recording_arguments(None, attempt=1)),
    ]
