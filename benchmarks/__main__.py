"""Run all benchmarks, or those that are named, and print their tables in Markdown."""

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from memtrain.cli.entry_point import argument_parser

BENCHMARKS = [
    "loading",
    "blocks",
    "out_of_core",
    "shared_pass",
    "rows_in_files",
    "tokens",
    "describing",
    "training_speed",
    "while_training",
    "accumulating",
    "training_loops",
    "exact_or_fast",
    "exchanging",
    "accumulation_memory",
    "resuming",
    "shuffle_quality",
    "generating",
    "indexing",
    "starts",
    "small_trainings",
    "workflow_overhead",
    "verdicts",
    "cluster",
    "small_trainings_on_slurm",
    "lineage_questions",
    "recording",
    "scale",
    "first_results",
]


def main(argv: list[str] | None = None) -> int:
    """Print the tables of every benchmark."""
    parser = argument_parser(__name__, f"benchmarks: {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", type=benchmark, help="a benchmark; default: all"
    )
    args = parser.parse_args(argv)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    for name in args.names or BENCHMARKS:
        print(importlib.import_module(f"benchmarks.{name}").main(), end="\n\n", flush=True)
    return 0


def benchmark(name: str) -> str:
    """Return the name of a benchmark.

    Raises:
        ArgumentTypeError: if there is no benchmark of this name.
    """
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no benchmark {name!r}")
    return name


if __name__ == "__main__":
    sys.exit(main())
