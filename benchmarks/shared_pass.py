"""Sixteen models out of core: a pass over the disk for each, or one pass that feeds all of them."""

import json
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.cgroups import UnavailableError, memory_cgroup

from benchmarks.measuring import Work, compare, spread
from benchmarks.record_files import drop_from_page_cache, numbered_rows

LIMIT_BYTES = 384 << 20
COLUMNS = 128
ROWS = (1 << 29) // (4 * COLUMNS)
MODELS = 16
PROGRAMS = ("a-pass-each", "one-pass")
#: Widths of the hidden layer; 0 for a linear model.
WIDTHS = (0, 64)


class Runner:
    """Runs ``models_of_one_pass`` in memory cgroups.

    Args:
        path: path of the file to read.

    Attributes:
        reports: what it printed in every run, by program and width.
    """

    def __init__(self, path: str):
        self._path = path
        self.reports: dict[tuple[str, int], list[dict[str, Any]]] = {}

    def run(self, program: str, hidden: int) -> Work:
        """Run one program in a new cgroup."""
        command = [sys.executable, "-m", "benchmarks.models_of_one_pass", self._path, program]
        options = ["--models", str(MODELS), "--hidden", str(hidden)]
        with memory_cgroup(LIMIT_BYTES) as cgroup:
            result = cgroup.run(
                [*command, *options],
                cwd=Path(__file__).resolve().parents[1],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        report = json.loads(result.stdout)
        self.reports.setdefault((program, hidden), []).append(report)
        return Work(report["rows"], report["seconds"])


def main() -> str:
    """Return the table."""
    title = (
        f"### {MODELS} models: {ROWS:,} rows of {COLUMNS} float32 (512 MiB) in a cgroup of 384 MiB"
    )
    try:
        with memory_cgroup(LIMIT_BYTES):
            pass
    except UnavailableError as error:
        return f"{title}\n\nNot measured: {error}"
    names = {_name(program, width): (program, width) for width in WIDTHS for program in PROGRAMS}
    with numbered_rows(ROWS, COLUMNS) as path:
        runner = Runner(path)
        comparison = compare(
            {name: partial(runner.run, *what) for name, what in names.items()},
            "rows/s",
            runs=3,
            before=lambda: drop_from_page_cache(path),
            warm_up=False,
        )
    lines = [
        "| | rows/s of all models, median (range) | times a pass each | CPU seconds | GiB read "
        "| same weights |",
        "|---|---|---|---|---|---|",
    ]
    for name, (program, width) in names.items():
        reports = runner.reports[program, width]
        base = _name(PROGRAMS[0], width)
        cells = [
            name,
            spread(comparison.rates[name], "{:,.0f}"),
            spread(comparison.ratio(name, base), "{:.2f}"),
            f"{statistics.median(report['cpu_seconds'] for report in reports):.1f}",
            f"{statistics.median(report['bytes_read'] for report in reports) / 2**30:.1f}",
            "yes" if _digests(runner, width) == 1 else "NO",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([title, "", *lines])


def _name(program: str, width: int) -> str:
    model = f"{COLUMNS - 2}-{width}-1" if width else f"linear, {COLUMNS - 2} columns"
    return f"{model}: {program.replace('-', ' ')}"


def _digests(runner: Runner, width: int) -> int:
    """Return how many different weights the models of a width ended with."""
    return len({one["digest"] for program in PROGRAMS for one in runner.reports[program, width]})
