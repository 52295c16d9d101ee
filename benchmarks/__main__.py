"""Run the benchmarks, all or those named, and print their tables in Markdown."""

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
    "training_speed",
    "accumulating",
    "training_loops",
    "accumulation_memory",
    "resuming",
    "shuffle_quality",
    "generating",
    "indexing",
    "workflow_overhead",
    "cluster",
    "lineage_questions",
    "recording",
]


def main(argv: list[str] | None = None) -> int:
    """Print a table for every benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="default: all")
    args = parser.parse_args(argv)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n")
    for name in args.names or BENCHMARKS:
        print(importlib.import_module(f"benchmarks.{name}").main(), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
