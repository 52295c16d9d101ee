"""Puts preempted jobs back into Slurm's queue, where Slurm itself would not run them again.

Where a partition preempts by cancelling, a job ends in the state PREEMPTED and Slurm is done with
it. Snakemake's plugin takes this state for that of a job that Slurm will run again, and waits for
the job without end.
"""

import getpass
import logging
import os
import shutil
import subprocess
import threading
from datetime import datetime

_SECONDS_BETWEEN_LOOKS = 20.0

_log = logging.getLogger(__name__)


class PreemptedJobs(threading.Thread):
    """Looks for preempted jobs of one folder and puts them back, until the program ends.

    A job keeps its id, so Snakemake, which waits for the id, sees the job run again.

    Args:
        folder: the working directory of the jobs. Jobs of other folders, of other users and of
            earlier calls are left alone.
    """

    def __init__(self, folder: str | os.PathLike):
        super().__init__(name="preempted jobs", daemon=True)
        self._folder = os.path.realpath(folder)
        self._started_at = datetime.now().isoformat(timespec="seconds")
        self._given_up: set[str] = set()

    @staticmethod
    def can_be_put_back() -> bool:
        """Return whether Slurm's commands are installed here."""
        return all(map(shutil.which, ("squeue", "scontrol")))

    def run(self) -> None:
        """Look for preempted jobs every twenty seconds, and put them back."""
        pause = threading.Event()
        while not pause.wait(_SECONDS_BETWEEN_LOOKS):
            for job in self.find():
                self.put_back(job)

    def find(self) -> list[str]:
        """Return the ids of preempted jobs that were submitted after the start."""
        columns = ("%i", "%T", "%V", "%Z")
        command = ["squeue", "--noheader", "--states=PREEMPTED", f"--user={getpass.getuser()}"]
        done = _run([*command, f"--format={'|'.join(columns)}"])
        jobs: list[str] = []
        for line in done.stdout.splitlines():
            job, state, submitted_at, folder = line.split("|", maxsplit=len(columns) - 1)
            is_ours = os.path.realpath(folder) == self._folder and submitted_at >= self._started_at
            if state == "PREEMPTED" and is_ours and job not in self._given_up:
                jobs.append(job)
        return jobs

    def put_back(self, job: str) -> None:
        """Put a job back into the queue; if Slurm refuses, warn and say what to do."""
        done = _run(["scontrol", "requeue", job])
        if done.returncode == 0:
            _log.info("Slurm's job %s was preempted and is put back.", job)
            return
        self._given_up.add(job)
        _log.warning(
            "Slurm's job %s was preempted and cannot be put back (%s). Snakemake waits for it in "
            "vain: once all other jobs have ended, stop Snakemake (Ctrl-C) and call it again; the "
            "training goes on from its checkpoint.",
            job,
            done.stderr.strip(),
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
