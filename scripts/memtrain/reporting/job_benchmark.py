"""Reads the resources that a job requested and used from Snakemake's benchmark of the job."""

import json
import math
import os
from dataclasses import dataclass, replace

from memtrain.system.file_content import read_bytes


@dataclass(frozen=True)
class JobBenchmark:
    """The resources that a job requested and used, in its last try. Unknown values are None.

    Attributes:
        requested_mb: memory that the job requested, in MB.
        requested_minutes: time that the job requested; None also for a job without a limit.
        used_mb: most memory that the job and all its processes held, in MB.
        used_seconds: time that the job took.
    """

    requested_mb: float | None = None
    requested_minutes: float | None = None
    used_mb: float | None = None
    used_seconds: float | None = None

    @classmethod
    def read(cls, path: str | os.PathLike) -> "JobBenchmark":
        """Read a benchmark file.

        Values that the file lacks are None, and all values are None if it is missing or damaged.
        Without ``benchmark-extended``, Snakemake writes no requested resources.

        Args:
            path: a file with lines of JSON, of which the last counts.
        """
        try:
            content = json.loads(read_bytes(path).splitlines()[-1])
            requested = content.get("resources", {})
            used_mib = _finite_number(content.get("max_rss"))
            return cls(
                requested_mb=_finite_number(requested.get("mem_mb")),
                requested_minutes=_finite_number(requested.get("runtime")) or None,
                used_mb=None if used_mib is None else used_mib * (1 << 20) / 1e6,
                used_seconds=_finite_number(content.get("s")),
            )
        except (OSError, ValueError, RecursionError, IndexError, AttributeError):
            return cls()

    def with_memory_of_training(self, peak_bytes: int) -> "JobBenchmark":
        """Return the benchmark with the memory that the training itself counted, if that is more.

        Snakemake does not see a process that was forked by a server, but only its client.
        """
        if self.used_mb is None:
            return self
        return replace(self, used_mb=max(self.used_mb, peak_bytes / 1e6))


def _finite_number(value: object) -> float | None:
    """Return a number as it is, and None for anything else ("-", "NA", NaN)."""
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return None
