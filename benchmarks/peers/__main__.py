"""Measure loaders of other projects and of memtrain on the same rows, beside hardware ceilings.

Every peer is installed into an environment of its own, below .venv-peers. The rows are written once
for each number of columns, and converted once for each peer. Where the environment variable
BENCHMARK_FOLDER names a folder, they stay there for the next time.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.peers.catalogue import PROGRAMS, Program, select_programs
from benchmarks.peers.machine import describe, load
from benchmarks.peers.record_files import write_rows
from benchmarks.peers.rounds import Settings, measure
from benchmarks.peers.tables import table
from memtrain.cli.entry_point import argument_parser


@dataclass(frozen=True)
class Defaults:
    """What is measured unless the command line says otherwise.

    Attributes:
        columns: numbers of columns, a file for each.
        mebibytes: size of a file.
        seconds: duration of a run.
    """

    columns: list[int]
    mebibytes: float
    seconds: float


WARM = Defaults(columns=[20, 128, 1024], mebibytes=200, seconds=2)
# Larger than what readahead brings into memory during a run, which would be warm from then on.
COLD = Defaults(columns=[128], mebibytes=4096, seconds=4)

WARM_NOTE = """\
The rows are in the page cache. Rows per second are counted from the first batch on, over as many
epochs as there is time for. The number behind a shuffle says how well it mixes rows that lie
sorted: the variance of the batches' means, divided by that of batches drawn at random (1 is
perfect)."""

COLD_NOTE = """\
The rows are only on the disk when a run starts. Rows per second are counted from the start of the
run, the first batch included, over one epoch at most and one batch at least, together with what was
fetched along with it."""


def main(argv: list[str] | None = None) -> int:
    """Print a table for every number of columns."""
    arguments = parse_arguments(argv)
    defaults = COLD if arguments.cold else WARM
    settings = Settings(
        rounds=arguments.rounds,
        seconds=arguments.seconds or defaults.seconds,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        cold=arguments.cold,
    )
    programs = select_programs(arguments.peers, arguments.cold)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.environ.get("BENCHMARK_FOLDER", temporary)) / "peers"
        folder.mkdir(parents=True, exist_ok=True)
        note = COLD_NOTE if arguments.cold else WARM_NOTE
        print(f"### Peers\n\n{describe(folder)}\n\n{note}\n", flush=True)
        for columns in arguments.columns or defaults.columns:
            path = write_rows(folder, columns, arguments.mebibytes or defaults.mebibytes)
            print(section(programs, path, columns, settings), end="\n\n", flush=True)
        print(f"Load average at the end: {load()}")
    return 0


def section(programs: list[Program], path: Path, columns: int, settings: Settings) -> str:
    """Measure the programs on one file, and return the table with a title."""
    size = path.stat().st_size
    results = measure(
        programs,
        path,
        settings,
        lambda step: print(f"{columns} columns, {step}", file=sys.stderr),
    )
    title = (
        f"**{columns} columns** of float32, {size / 2**20:,.0f} MiB, batches of "
        f"{settings.batch_size}, {settings.rounds} rounds of {settings.seconds:g} seconds"
    )
    body = table(results, row_bytes=4 * columns, file_bytes=size, cold=settings.cold)
    return f"{title}\n\n{body}"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments, lists already split."""
    names = [program.name for program in PROGRAMS]
    parser = argument_parser(__name__, f"programs: {', '.join(names)}")
    parser.add_argument(
        "--peers", type=words, help="names of programs, separated by commas; default: all"
    )
    parser.add_argument(
        "--columns", type=numbers, help="numbers of columns; default: 20,128,1024; 128 with --cold"
    )
    parser.add_argument("--workers", type=numbers, default=[0, 2], help="processes; default: 0,2")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program; default: 5")
    parser.add_argument(
        "--seconds", type=float, help="duration of a run; default: 2; 4 with --cold"
    )
    parser.add_argument(
        "--mebibytes", type=float, help="size of a file; default: 200; 4096 with --cold"
    )
    parser.add_argument(
        "--batch-size", type=int, default=1024, help="rows of a batch; default: 1024"
    )
    parser.add_argument(
        "--cold", action="store_true", help="start each run with an empty page cache"
    )
    arguments = parser.parse_args(argv)
    unknown = set(arguments.peers or []) - set(names)
    if unknown:
        parser.error(f"there is no program {', '.join(sorted(unknown))}")
    return arguments


def words(text: str) -> list[str]:
    """Split a text such as "a,b,c"."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """Return the numbers of a text such as "1,2,3"."""
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
