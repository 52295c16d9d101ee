"""Decides whether a job comes from a fork server, which has imported PyTorch already.

A server pays where many jobs are short: their start takes longer than their work. A long job gains
nothing by it.
"""

from memtrain.config.running import ForkServer

#: The number of splits, or of jobs that share a job of a cluster, from which on a server pays.
JOBS_AT_LEAST = 5

#: Seconds that a short job takes at most; the start of PyTorch takes one to three.
SECONDS_AT_MOST = 60


def comes_from_server(
    setting: ForkServer, *, jobs: int, seconds: float | None, attempt: int
) -> bool:
    """Return whether a job comes from a fork server.

    Args:
        setting: the setting `running: fork_server`.
        jobs: the number of jobs of this kind that run on this machine.
        seconds: what the job is expected to take; None if that is not known.
        attempt: 1 for the first try of the job. Another try starts as plain Python.
    """
    if setting != "auto":
        return setting == "always"
    is_short = seconds is not None and seconds <= SECONDS_AT_MOST
    return jobs >= JOBS_AT_LEAST and is_short and attempt == 1
