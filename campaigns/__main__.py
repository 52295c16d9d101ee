"""Run all campaigns, or those that are named, and print a table of what came out of each.

A campaign does harm to a small project, case after case, and looks at what memtrain makes of it.
Each is bounded in the number of cases and in time, and every case that goes wrong is listed with
the command that repeats it.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from campaigns import interposer
from campaigns.campaign import Bounds, run_campaign
from campaigns.workshop import Workshop
from memtrain.cli.entry_point import argument_parser

CAMPAIGNS = ["kills", "io_errors", "damage", "configurations", "concurrency", "flips", "trainings"]

#: Campaigns that need no finished project.
_WITHOUT_PROJECT = {"trainings"}

#: Environment variable that hands the temporary folder on to the restarted program.
_WORKSHOP_VARIABLE = "CAMPAIGNS_WORKSHOP"

#: One thread in each child: a pool of threads does not survive a fork.
_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "agg",
}


def main(argv: list[str] | None = None) -> int:
    """Print the tables of the campaigns; return 1 where a case went wrong."""
    args = parse_arguments(argv)
    if not (folder := os.environ.pop(_WORKSHOP_VARIABLE, None)):
        return start_again(sys.argv[1:] if argv is None else argv)
    workshop, status = Workshop(Path(folder), args.seed), 0
    try:
        names = args.names or CAMPAIGNS
        if set(names) - _WITHOUT_PROJECT:
            workshop.prepare()
        for name in names:
            status |= run_one(name, args, workshop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, f"campaigns: {', '.join(CAMPAIGNS)}")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", type=campaign, help="a campaign; default: all"
    )
    parser.add_argument("--seed", type=int, default=1, help="chooses the cases (default: 1)")
    parser.add_argument("--cases", type=int, help="most cases of a campaign (default: no limit)")
    parser.add_argument(
        "--minutes", type=float, default=5, help="most minutes of a campaign (default: 5)"
    )
    parser.add_argument(
        "--only", metavar="CASE", help="run this case of the named campaign, and show all of it"
    )
    args = parser.parse_args(argv)
    if args.only and len(args.names) != 1:
        parser.error("--only needs the name of one campaign")
    return args


def campaign(name: str) -> str:
    """Return the name of a campaign.

    Raises:
        ArgumentTypeError: if there is no campaign of this name.
    """
    if name not in CAMPAIGNS:
        raise argparse.ArgumentTypeError(f"there is no campaign {name!r}")
    return name


def start_again(argv: list[str]) -> int:
    """Start this program again in a temporary folder, under the library that injects faults."""
    folder = Path(tempfile.mkdtemp(prefix="campaigns-"))
    os.environ.update({_WORKSHOP_VARIABLE: str(folder), **_VARIABLES})
    command = ["-m", "campaigns", *argv]
    if interposer.can_compile():
        interposer.restart_under_library(folder, command)
    print("There is no C compiler (cc): faults come at the calls that Python reports itself,\n"
          "and not while a file is written.\n")  # fmt: skip
    os.execv(sys.executable, [sys.executable, *command])


def run_one(name: str, args: argparse.Namespace, workshop: Workshop) -> int:
    """Run a campaign, and print its table; return 1 where a case went wrong."""
    made = importlib.import_module(f"campaigns.{name}").campaign(workshop)
    if args.only:
        outcome = made.run(args.only)
        print(outcome.report())
        return int(outcome.is_fault)
    result = run_campaign(name, made, Bounds(args.seed, args.cases, args.minutes * 60))
    print(result.table(), end="\n\n", flush=True)
    return int(bool(result.faults))


if __name__ == "__main__":
    sys.exit(main())
