"""Show how far the trainings of all configured splits are.

A running training writes a small file to results/<dataset>/state/<split>/, and this program reads
it. It needs no server, and works from any machine that can read the folder. On a terminal the table
is renewed every second until every training is finished, or until Ctrl-C is pressed.

  waiting    not started yet
  running    shown with its step, loss, rows/s, share of time waiting for rows, and time left
  stopped    ended early, on request; its state is saved, and the next run goes on from there
  failed     ended by an error, which is shown below the table
  lost       ended without a word or silent for a minute: it was killed, or its machine is gone
  finished   the model is written
"""

import argparse
import sys
import time
from dataclasses import asdict
from typing import Any

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.results_argument import add_results_argument
from memtrain.config.reading import read_configuration
from memtrain.config.results import ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.reporting.training_status import find_statuses
from memtrain.system import canonical_json
from memtrain.training.progress_file import TrainingStatus
from memtrain.workflow.leftovers import unconfigured_splits, unconfigured_text

_SECONDS_BETWEEN_LOOKS = 1.0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    add_results_argument(parser)
    parser.add_argument("--once", action="store_true", help="print the table once and leave")
    parser.add_argument("--json", action="store_true", help="print JSON once, for programs")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Show the trainings."""
    args = parse_arguments(argv)
    results = ResultsLayout.find(args.results)
    configuration = read_configuration(results.configuration)
    if args.json:
        splits = [as_json(status) for status in find_statuses(configuration, results)]
        others = unconfigured_splits(results, configuration.split_names)
        answer = {"results": str(results.root), "splits": splits, "no_longer_configured": others}
        print(canonical_json.dumps(answer))
    elif args.once or not sys.stdout.isatty():
        print_once(list(find_statuses(configuration, results)))
        if others := unconfigured_splits(results, configuration.split_names):
            print(unconfigured_text(others))
    else:
        watch(configuration, results)
    return 0


def as_json(status: TrainingStatus) -> dict[str, Any]:
    """Return a status with the ages of its checkpoint and of its last sign of life, in seconds."""
    return asdict(status) | {
        "checkpoint_age": status.checkpoint_age,
        "silent_seconds": status.silent_seconds,
    }


def print_once(trainings: list[TrainingStatus]) -> None:
    """Print the status of all trainings."""
    # Imported late, since rich takes a while and --json does not need it.
    from rich.console import Console

    from memtrain.reporting.status_table import StatusTable

    on_terminal = sys.stdout.isatty()
    Console(width=None if on_terminal else 160).print(StatusTable(trainings))


def watch(configuration: Configuration, results: ResultsLayout) -> None:
    """Renew the table until every training is finished."""
    from rich.live import Live

    from memtrain.reporting.status_table import StatusTable

    trainings = list(find_statuses(configuration, results))
    with Live(StatusTable(trainings, fits_height=True), auto_refresh=False) as live:
        while any(training.state != "finished" for training in trainings):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            trainings = list(find_statuses(configuration, results))
            live.update(StatusTable(trainings, fits_height=True), refresh=True)


if __name__ == "__main__":
    run(main)
