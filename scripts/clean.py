"""Remove what the results hold and nothing needs any more.

  no longer configured   the results, states and logs of splits and predictions that config.yaml
                         does not name; they still hold what they learned of their rows
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
import os
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
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.currency import current_configuration
from memtrain.lineage.queries.models_on_disk import ModelsOnDisk
from memtrain.lineage.queries.removed_models import CLEAN, CLEANING, facts_of_models
from memtrain.lineage.records.run_record import RunRecord
from memtrain.lineage.records.user_actions import finish_actions, recorded_action
from memtrain.system.sole_writer import sole_writer
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
    end_killed_cleanings(results)
    found = find_leftovers(
        results,
        configuration.split_names,
        configuration.evaluated_splits,
        configuration.predictions,
    )
    check_that_nothing_runs(results, found)
    if not found:
        print(f"{results.root}: there is nothing to remove")
        return 0
    show(found)
    if not (args.yes or is_confirmed()):
        print("nothing was removed" if sys.stdin.isatty() else "nothing was removed; use --yes")
        return 0
    check_that_nothing_runs(results, found)
    remove_all(results, configuration.split_names, found)
    print(f"removed: {counted(len(found), 'path')}")
    return 0


def remove_all(results: ResultsLayout, configured: list[str], found: list[Leftover]) -> None:
    """Remove what was found, and record it, with the rows of the models among it."""
    models = ModelsOnDisk(
        LineageIndex(results.records, Path.cwd()),
        results=results,
        project=Path.cwd(),
        configured=configured,
    )
    removed = [{"path": str(one.path), "why": one.why} for one in found]
    facts = {
        "removed": removed,
        "models": facts_of_models(models, [one.path for one in found]),
    }
    action = recorded_action(
        results.records, CLEAN, _message(removed), kind=CLEANING, facts=facts, is_done=_is_done
    )
    with sole_writer(results.records / CLEANING), action:
        for one in found:
            remove(one)


def end_killed_cleanings(results: ResultsLayout) -> None:
    """Record what cleanings removed that were killed before they could say so."""
    with sole_writer(results.records / CLEANING):
        finish_actions(results.records, [CLEAN], _is_done)


def _is_done(record: RunRecord) -> bool:
    """Return whether a cleaning has removed anything; let its record say what."""
    facts = record.details.get(CLEANING, {})
    for name in ("removed", "models"):
        facts[name] = [one for one in facts.get(name, []) if not os.path.lexists(one["path"])]
    if facts["removed"]:
        record.message = _message(facts["removed"])
    return bool(facts["removed"] or facts["models"])


def _message(removed: list[dict[str, str]]) -> str:
    return "removed: " + "; ".join(f"{one['path']} ({one['why']})" for one in removed)


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
