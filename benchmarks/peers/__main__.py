"""Loaders of other projects beside ours, on the same rows, and the ceilings of the machine.

Every peer is installed into an environment of its own, below .venv-peers. The rows are written once
a size, and prepared once a peer; with BENCHMARK_FOLDER set they stay for the next time.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.peers.catalogue import PROGRAMS, Program, chosen
from benchmarks.peers.machine import describe, load
from benchmarks.peers.record_files import write_rows
from benchmarks.peers.rounds import Settings, measure
from benchmarks.peers.tables import table
from memtrain.cli.entry_point import argument_parser


@dataclass(frozen=True)
class Defaults:
    """What is measured unless something else is asked for."""

    columns: list[int]
    mebibytes: float
    seconds: float


WARM = Defaults([20, 128, 1024], mebibytes=200, seconds=2)
# More than readahead brings into memory during a run: it would be a warm one from then on.
COLD = Defaults([128], mebibytes=4096, seconds=4)

WARM_NOTE = """\
The rows are in the page cache. Rows a second are counted from the first batch on, over as many
epochs as there is time for. The number behind a shuffle says how well it mixes rows that lie
sorted: the variance of the batches' means, over that of batches drawn at random (1 is perfect)."""

COLD_NOTE = """\
The rows are on the disk alone when a run starts. Rows a second are counted from the start on, the
first batch included, in one epoch at most; one batch at least, and what was fetched with it."""


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
    programs = chosen(arguments.peers, arguments.cold)
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
    """Measure one file, and return its table with a title."""
    size = path.stat().st_size
    results = measure(
        programs,
        path,
        settings,
        lambda doing: print(f"{columns} columns, {doing}", file=sys.stderr),
    )
    title = (
        f"**{columns} columns** of float32, {size / 2**20:,.0f} MiB, batches of "
        f"{settings.batch_size}, {settings.rounds} rounds of {settings.seconds:g} seconds"
    )
    return f"{title}\n\n{table(results, 4 * columns, size, settings.cold)}"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments, lists as lists."""
    names = [program.name for program in PROGRAMS]
    parser = argument_parser(__doc__, f"programs: {', '.join(names)}")
    parser.add_argument("--peers", type=words, help="programs by name, with commas; default: all")
    parser.add_argument("--columns", type=numbers, help="default: 20,128,1024; 128 with --cold")
    parser.add_argument("--workers", type=numbers, default=[0, 2], help="default: 0,2")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, help="of a run; default: 2; 4 with --cold")
    parser.add_argument("--mebibytes", type=float, help="of a file; default: 200; 4096 with --cold")
    parser.add_argument("--batch-size", type=int, default=1024, help="rows; default: 1024")
    parser.add_argument("--cold", action="store_true", help="begin each run with an empty cache")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.peers or []) - set(names)
    if unknown:
        parser.error(f"there is no program {', '.join(sorted(unknown))}")
    return arguments


def words(text: str) -> list[str]:
    """Read "a,b,c"."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """Read "1,2,3"."""
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
