"""What a job asked for, and what it used, as Snakemake's benchmark file of it has them."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobBenchmark:
    """The last try of a job. None where it is not known.

    Attributes:
        asked_mb: memory that was asked for, in MB.
        asked_minutes: time likewise; None where there was no limit.
        used_mb: the most memory that the job and all its processes held, in MB.
        seconds: that it took.
    """

    asked_mb: int | None = None
    asked_minutes: int | None = None
    used_mb: float | None = None
    seconds: float | None = None

    @classmethod
    def read(cls, path: str | os.PathLike) -> "JobBenchmark":
        """Read a file of one line of JSON; what it does not hold (or if there is none) is None.

        Without ``benchmark-extended`` Snakemake leaves the resources out.
        """
        try:
            content = json.loads(Path(path).read_text().splitlines()[-1])
            asked = content.get("resources", {})
            used_mib = _number(content.get("max_rss"))
            return cls(
                asked_mb=_number(asked.get("mem_mb")),
                asked_minutes=_number(asked.get("runtime")) or None,
                used_mb=None if used_mib is None else used_mib * (1 << 20) / 1e6,
                seconds=_number(content.get("s")),
            )
        except (OSError, ValueError, IndexError, AttributeError):
            return cls()


def _number(value: object) -> float | None:
    """Return a number; None for what is none ("-", "NA", NaN)."""
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return value if is_number else None
