"""Rate of an epoch over a file of eight times the memory of a memory cgroup.

The environment variable BENCHMARK_MEMORY is another limit of the cgroup than 1 GiB, such as 512MiB.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.cgroups import UnavailableError, memory_cgroup

from benchmarks.measuring import Comparison, Work, compare, spread
from benchmarks.record_files import drop_from_page_cache, numbered_rows
from memtrain.core.byte_sizes import format_bytes, parse_bytes

LIMIT_BYTES = parse_bytes(os.environ.get("BENCHMARK_MEMORY", "1GiB"))
COLUMNS = 128
ROWS = 8 * LIMIT_BYTES // (4 * COLUMNS)
#: As large as the default in a cgroup of 1 GiB. The program itself takes about 200 MiB.
BUFFER_BYTES = (LIMIT_BYTES - (256 << 20)) // 3

READS = "random 256 KiB reads (ceiling)"
DIRECT_READS = "random 256 KiB direct reads (ceiling)"


class EpochRunner:
    """Runs ``one_epoch`` in memory cgroups.

    Args:
        path: path of the file to read.
        limit_bytes: memory limit of each cgroup.

    Attributes:
        reports: what ``one_epoch`` printed in every run, by program.
    """

    def __init__(self, path: str, limit_bytes: int):
        self._path = path
        self._limit_bytes = limit_bytes
        self.reports: dict[str, list[dict[str, Any]]] = {}

    def run(self, name: str) -> Work:
        """Run one program in a new cgroup."""
        command = [sys.executable, "-m", "benchmarks.one_epoch"]
        with memory_cgroup(self._limit_bytes) as cgroup:
            result = cgroup.run(
                [*command, self._path, name, "--buffer-bytes", str(BUFFER_BYTES)],
                cwd=Path(__file__).resolve().parents[1],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            report = json.loads(result.stdout) | {"kills": cgroup.oom_kills}
        self.reports.setdefault(name, []).append(report)
        return Work(report["rows"], report["seconds"])


def main() -> str:
    """Return the table."""
    title = (
        f"### Out of core: {ROWS:,} rows of {COLUMNS} float32 ({format_bytes(8 * LIMIT_BYTES)}) in "
        f"a cgroup of {format_bytes(LIMIT_BYTES)}"
    )
    try:
        with memory_cgroup(LIMIT_BYTES):
            pass
    except UnavailableError as error:
        return f"{title}\n\nNot measured: {error}"
    names = {READS: "reads", DIRECT_READS: "direct-reads"}
    names |= {f"BlockLoader, {reader}": reader for reader in ("auto", "mmap", "pread", "direct")}
    with numbered_rows(ROWS, COLUMNS) as path:
        runner = EpochRunner(path, LIMIT_BYTES)
        programs = {name: partial(runner.run, program) for name, program in names.items()}
        comparison = compare(
            programs, "rows/s", runs=5, before=lambda: drop_from_page_cache(path), warm_up=False
        )
    lines = [
        "| | rows/s, median (range) | share of the reads | of the direct reads "
        "| CPU seconds per GiB | bytes read per byte of rows "
        "| each row once | anonymous memory, MiB | killed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(name, comparison, runner.reports[program]) for name, program in names.items()]
    chosen = runner.reports["auto"][-1]["reader"]
    return "\n".join([title, "", *lines, "", f"`auto` takes {chosen}."])


def _line(name: str, comparison: Comparison, reports: list[dict[str, Any]]) -> str:
    shares = [spread(comparison.ratio(name, base), "{:.2f}") for base in (READS, DIRECT_READS)]
    used = _used_cells(reports)
    rates = spread(comparison.rates[name], "{:,.0f}")
    cells = [name, rates, *shares, *used, *_memory_cells(reports)]
    return f"| {' | '.join(cells)} |"


def _used_cells(reports: list[dict[str, Any]]) -> list[str]:
    """Return CPU seconds for each GiB of rows, and bytes read from the disk for each byte of rows.

    Both count the epoch alone, without the imports.
    """
    row_bytes = 4 * COLUMNS
    cpu = [report["cpu_seconds"] * (1 << 30) / (report["rows"] * row_bytes) for report in reports]
    read = [report["disk_bytes"] / (report["rows"] * row_bytes) for report in reports]
    return [spread(cpu, "{:.2f}"), spread(read, "{:.2f}")]


def _memory_cells(reports: list[dict[str, Any]]) -> list[str]:
    """Return whether each row was seen once, the range of anonymous memory, and the kills."""
    kills = str(sum(report["kills"] for report in reports))
    if "each_row_once" not in reports[0]:
        return ["-", "-", kills]
    low = min(report["anonymous_kib"][0] for report in reports) / 1024
    high = max(report["anonymous_kib"][1] for report in reports) / 1024
    once = all(report["each_row_once"] for report in reports)
    return ["yes" if once else "NO", f"{low:,.0f} to {high:,.0f}", kills]
