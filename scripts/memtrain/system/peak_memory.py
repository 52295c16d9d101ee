"""The most memory that this process has held."""

import resource
from pathlib import Path


def peak_memory_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    # getrusage begins with what the parent held when it forked; this does not.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = (int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
    return next(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
