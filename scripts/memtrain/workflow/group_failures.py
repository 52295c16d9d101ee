"""Which jobs have failed where jobs share a job of a cluster.

Snakemake counts all jobs of a group as failed where one of them has failed: also those that have
finished, and those that could not begin.
"""

import os
from collections.abc import Mapping
from typing import Any


def failed_itself(facts: Mapping[str, Any]) -> bool:
    """Return whether a job has failed, and not just another one of its group.

    It has not if all its outputs are there, or if it had to wait for inputs that are missing.

    Args:
        facts: what Snakemake's log tells of the job, in the event "job_error".
    """
    is_in_group = facts.get("indent", False)
    return not is_in_group or (_exist(facts["input"]) and not _exist(facts["output"]))


def _exist(paths: list[str]) -> bool:
    return all(map(os.path.exists, paths))
