"""Jobs that Slurm preempted and did not put back into the queue: they are put back.

Where a partition preempts by cancelling, a job ends in the state PREEMPTED, and Slurm is done with
it. Snakemake's plugin takes that state for a job that Slurm will run again, and waits without end.
"""

import getpass
import os
import shutil
import subprocess
import sys
import threading
from datetime import datetime

_SECONDS_BETWEEN_LOOKS = 20.0


class PreemptedJobs(threading.Thread):
    """Looks for such jobs of this folder, and puts them back, until the program ends.

    A job keeps its id, so that whoever waits for it sees it run.

    Args:
        folder: that the jobs work in; jobs of others, and of earlier calls, are left alone.
    """

    def __init__(self, folder: str | os.PathLike):
        super().__init__(name="preempted jobs", daemon=True)
        self._folder = os.path.realpath(folder)
        self._started_at = datetime.now().isoformat(timespec="seconds")
        self._given_up: set[str] = set()

    @staticmethod
    def can_be_put_back() -> bool:
        """Return whether Slurm's commands are here."""
        return all(map(shutil.which, ("squeue", "scontrol")))

    def run(self) -> None:
        """Look again and again."""
        pause = threading.Event()
        while not pause.wait(_SECONDS_BETWEEN_LOOKS):
            for job in self.found():
                self.put_back(job)

    def found(self) -> list[str]:
        """Return the ids of preempted jobs that were submitted since the start."""
        columns = ("%i", "%T", "%V", "%Z")
        command = ["squeue", "--noheader", "--states=PREEMPTED", f"--user={getpass.getuser()}"]
        done = _run([*command, f"--format={'|'.join(columns)}"])
        jobs = []
        for line in done.stdout.splitlines():
            job, state, submitted_at, folder = line.split("|", maxsplit=len(columns) - 1)
            is_ours = os.path.realpath(folder) == self._folder and submitted_at >= self._started_at
            if state == "PREEMPTED" and is_ours and job not in self._given_up:
                jobs.append(job)
        return jobs

    def put_back(self, job: str) -> None:
        """Put a job back; where Slurm refuses, say what there is to do."""
        done = _run(["scontrol", "requeue", job])
        if done.returncode == 0:
            print(f"Slurm's job {job} was preempted and is put back.", file=sys.stderr)
            return
        self._given_up.add(job)
        print(
            f"warning: Slurm's job {job} was preempted and cannot be put back "
            f"({done.stderr.strip()}). Snakemake waits for it in vain: once all other jobs have "
            "ended, stop it (Ctrl-C) and call it again; the training goes on from its checkpoint.",
            file=sys.stderr,
        )


def _run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
