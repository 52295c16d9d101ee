"""Remove what the results hold and nothing needs any more.

  no longer configured   the results, states and logs of splits that config.yaml does not name; they
                         still hold what they learned of their rows
  no longer evaluated    evaluation, predictions and figures of splits that have no `evaluate` now
  state left over        checkpoints of trainings that are finished
  old groups             groups.npy of rows that are not grouped any more
  old predictions        predictions that belong to no evaluation
  left by killed programs   files that were being written

Everything is listed first, with its size. On a terminal you are asked; elsewhere nothing is removed
without --yes. What was removed is recorded, so that the lineage tells of it. Records, withdrawals,
models, and what else is made of configured splits are never touched.
"""

import argparse
import sys
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.results_argument import add_results_argument
from memtrain.config.results import ResultsLayout
from memtrain.core.byte_sizes import format_bytes
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import counted
from memtrain.lineage.queries.currency import current_configuration
from memtrain.lineage.records.user_actions import record_action
from memtrain.training.lock import training_in
from memtrain.workflow.abandoned_locks import locks_of_snakemake
from memtrain.workflow.leftovers import Leftover, find_leftovers, remove


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    add_results_argument(parser)
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """List what nothing needs, and remove it if asked to."""
    args = parse_arguments(argv)
    results = ResultsLayout.find(args.results)
    configuration = current_configuration(results, Path.cwd())
    found = find_leftovers(results, configuration.split_names, configuration.evaluated_splits)
    check_that_nothing_runs(results, found)
    if not found:
        print(f"{results.root}: there is nothing to remove")
        return 0
    show(found)
    if not (args.yes or is_confirmed()):
        print("nothing was removed" if sys.stdin.isatty() else "nothing was removed; use --yes")
        return 0
    check_that_nothing_runs(results, found)
    remove_all(results, found)
    print(f"removed: {counted(len(found), 'path')}")
    return 0


def remove_all(results: ResultsLayout, found: list[Leftover]) -> None:
    """Remove what was found, and record what was removed, also where something cannot be."""
    removed: list[Leftover] = []
    try:
        for one in found:
            remove(one)
            removed.append(one)
    finally:
        if removed:
            message = "removed: " + "; ".join(f"{one.path} ({one.why})" for one in removed)
            content = [{"path": str(one.path), "why": one.why} for one in removed]
            facts = {"removed": content}
            record_action(results.records, "clean", message, kind="cleaning", facts=facts)


def check_that_nothing_runs(results: ResultsLayout, found: list[Leftover]) -> None:
    """Refuse to clean while Snakemake works in this folder, or a training in a state.

    Raises:
        UserError: if the folder is locked, or a state is.
    """
    states = [one.path for one in found if one.path.parent == results.state("any").parent]
    raise_problems(filter(None, map(training_in, states)))
    if locks := locks_of_snakemake(Path.cwd()):
        raise UserError(
            f"{locks[0].parent}: Snakemake is working in this folder, or was killed. Wait until it "
            "has ended; if it was killed, call `snakemake --unlock` first."
        )


def show(found: list[Leftover]) -> None:
    """Print what was found, with its sizes."""
    sizes = [format_bytes(one.size_bytes) for one in found]
    width = max(map(len, sizes))
    for one, size in zip(found, sizes, strict=True):
        print(f"{size:>{width}}  {one.path}  ({one.why})")
    total = sum(one.size_bytes for one in found)
    print(f"{format_bytes(total)} in {counted(len(found), 'path')}")


def is_confirmed() -> bool:
    """Ask on a terminal whether to remove what was listed."""
    if not sys.stdin.isatty():
        return False
    try:
        return input("Remove all of it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


if __name__ == "__main__":
    run(main)
