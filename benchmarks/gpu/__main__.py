"""What one GPU does with memtrain, in at most eight minutes: `make gpu`.

Runs the tests that need a GPU, compares results bit by bit, and measures. Prints one table, and
leaves what it found as JSON. A point that fails or takes too long is told, and the others go on.

With --device cpu, it is only rehearsed: everything runs on the CPU, with small sizes, and what a
CPU cannot show says that it needs a GPU.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.gpu.running import Outcome, Point, run_point
from memtrain.cli.entry_point import argument_parser

#: The points in their order, with what each may take: together less than eight minutes.
POINTS = [
    Point(f"benchmarks.gpu.points.{name}", title, seconds)
    for name, title, seconds in (
        ("environment", "Environment", 20),
        ("exactness", "Exactness", 55),
        ("loading", "Rows to the device, beside copies from pinned memory (the ceiling)", 50),
        ("training", "Training from the file, beside one window replayed", 55),
        ("reductions", "Exact, beside fast", 50),
        ("graphs", "Slots of a small network: calls, several at once, a CUDA graph", 30),
        ("precisions", "bfloat16, beside float32", 25),
        ("tests", "Tests that need a GPU", 170),
    )
]

_COLUMNS = ("", "found", "share")


def main(argv: list[str] | None = None) -> int:
    """Run the points, print the table, and write the JSON."""
    names = [point.name for point in POINTS]
    status = "exit status: 0 all is as it must be; 1 it is not; 2 the command line is wrong."
    parser = argument_parser(__name__, f"points: {', '.join(names)}", status)
    parser.add_argument("names", nargs="*", metavar="POINT", help="a point; default: all")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="default: cuda; cpu to rehearse"
    )
    parser.add_argument("--json", default="gpu.json", help="file to write (default: gpu.json)")
    args = parser.parse_args(argv)
    if unknown := sorted(set(args.names) - set(names)):
        parser.error(f"there is no point {unknown[0]!r}; the points are {', '.join(names)}")
    outcomes = run_points(args)
    content = {"device": args.device, "points": [asdict(outcome) for outcome in outcomes]}
    Path(args.json).write_text(json.dumps(content, indent=2) + "\n")
    print(f"\nwritten: {args.json}")
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


def run_points(args: argparse.Namespace) -> list[Outcome]:
    """Run the points that the command line names, and print the part of each when it ends."""
    outcomes = []
    print(f"memtrain on {args.device}, {platform.node()}, Python {platform.python_version()}\n")
    for point in POINTS:
        if not args.names or point.name in args.names:
            outcome = run_point(point, args.device)
            print(table(outcome), flush=True)
            outcomes.append(outcome)
    return outcomes


def table(outcome: Outcome) -> str:
    """Return the part of the table that belongs to one point, in Markdown."""
    point = outcome.point
    took = f"{outcome.state}, {outcome.seconds:.0f} of {point.seconds:.0f} s"
    rows = [(f"**{point.title}**", f"*{took}*", "")]
    for one in outcome.findings:
        text = f"**{one.text}**" if one.is_wrong else one.text
        rows.append((one.what, text, "" if one.share is None else f"{one.share:.2f}"))
    if outcome.error:
        rows.append(("what it said last", _last_line(outcome.error), ""))
    lines = [_line(row) for row in rows]
    is_first = point is POINTS[0]
    heading = [_line(_COLUMNS), _line(("---",) * len(_COLUMNS))] if is_first else []
    return "\n".join(heading + lines)


def _last_line(text: str) -> str:
    return text.splitlines()[-1].replace("|", "\\|")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
