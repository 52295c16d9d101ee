"""An epoch over a file eight times the memory that there is, in a memory cgroup."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cgroups import UnavailableError, memory_cgroup

from benchmarks.measuring import compare, spread
from benchmarks.record_files import drop_from_page_cache, numbered_rows

LIMIT_BYTES = 1 << 30
COLUMNS = 128
ROWS = 8 * LIMIT_BYTES // (4 * COLUMNS)

READS = "random 256 KiB reads (ceiling)"
DIRECT_READS = "random 256 KiB direct reads (ceiling)"


class Measured:
    """Runs ``one_epoch`` in cgroups of a size, and keeps what it prints."""

    def __init__(self, path: str, limit_bytes: int):
        self._path, self._limit_bytes = path, limit_bytes
        self.found: dict[str, list[dict[str, Any]]] = {}

    def program(self, name: str) -> tuple[float, float]:
        """Run one program; return its rows and seconds."""
        with memory_cgroup(self._limit_bytes) as cgroup:
            result = cgroup.run(
                [sys.executable, "-m", "benchmarks.one_epoch", self._path, name],
                cwd=Path(__file__).resolve().parents[1],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found = json.loads(result.stdout) | {"kills": cgroup.oom_kills}
        self.found.setdefault(name, []).append(found)
        return found["rows"], found["seconds"]


def main() -> str:
    """Return the table."""
    title = f"### Out of core: {ROWS:,} rows of {COLUMNS} float32 (8 GiB) in a cgroup of 1 GiB"
    try:
        with memory_cgroup(LIMIT_BYTES):
            pass
    except UnavailableError as error:
        return f"{title}\n\nNot measured: {error}"
    with numbered_rows(ROWS, COLUMNS) as path:
        measured = Measured(path, LIMIT_BYTES)
        names = {READS: "reads", DIRECT_READS: "direct-reads"}
        names |= {f"BlockLoader, {reader}": reader for reader in ("mmap", "pread", "direct")}
        programs = {
            name: lambda program=program: measured.program(program)
            for name, program in names.items()
        }
        comparison = compare(
            programs, "rows/s", runs=5, before=lambda: drop_from_page_cache(path), warm_up=False
        )
    lines = [
        "| | rows/s, median (range) | share of the reads | of the direct reads "
        "| each row once | anonymous memory, MiB | killed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rates in comparison.rates.items():
        shares = [spread(comparison.ratio(name, base), "{:.2f}") for base in (READS, DIRECT_READS)]
        about = _about(measured.found[names[name]])
        lines.append(
            f"| {name} | {spread(rates, '{:,.0f}')} | {' | '.join(shares)} | {' | '.join(about)} |"
        )
    return "\n".join([title, "", *lines])


def _about(found: list[dict[str, Any]]) -> list[str]:
    """Return whether rows were seen once, the range of anonymous memory, and kills."""
    kills = str(sum(run["kills"] for run in found))
    if "each_row_once" not in found[0]:
        return ["-", "-", kills]
    low = min(run["anonymous_kib"][0] for run in found) / 1024
    high = max(run["anonymous_kib"][1] for run in found) / 1024
    once = all(run["each_row_once"] for run in found)
    return ["yes" if once else "NO", f"{low:,.0f} to {high:,.0f}", kills]
