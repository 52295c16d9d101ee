"""Tell trainings which trackers mirror them, and send what is known only at the end."""

import shlex
import subprocess

#: Seconds that trackers may take at the end of the workflow; the next call sends the rest.
SECONDS_FOR_TRACKERS = 30


def tracking_arguments():
    """Return the arguments that tell a training its trackers, quoted for the shell.

    The rule takes them as a resource, since Snakemake runs no job again when a resource changes.
    """
    settings, folder = settings_text(CONFIGURATION.tracking), str(RESULTS.tracking)
    return shlex.join(["--tracking", settings, "--tracking-folder", folder])


def send_to_trackers():
    """Send trackers the evaluations, and what did not arrive while the trainings ran."""
    if workflow.dryrun or not CONFIGURATION.tracking.names:
        return
    script = [sys.executable, str(SCRIPTS / "track.py"), "send", str(RESULTS.root)]
    limit = ["--quiet", "--max-seconds", str(SECONDS_FOR_TRACKERS)]
    subprocess.run([*script, *limit], check=False)
