"""Show where all trainings of the configured splits are.

Every training writes a small file to results/<dataset>/state/<split>/ while it runs, and this
program reads them: it needs no server, and works from any machine that sees the folder. On a
terminal the table is renewed every second until every training is finished (Ctrl-C leaves before).

  waiting    not started yet
  running    with its step, loss, rows/s, share of the time waiting for rows, and time left
  stopped    asked to leave before its end; its state is saved, and the next run goes on
  failed     ended by an error, which stands below the table
  lost       ended without a word, or not heard of for a minute: killed, or its machine is gone
  finished   the model stands
"""

import argparse
import sys
import time
from dataclasses import asdict

from memtrain.cli.environment_check import require_environment

require_environment()

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.reading import read_configuration
from memtrain.config.results import ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.reporting.training_status import TrainingStatus, statuses
from memtrain.system import canonical_json

_SECONDS_BETWEEN_LOOKS = 1.0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "results",
        nargs="?",
        help="the folder of a dataset, results/<dataset>; the only one there is unless given",
    )
    parser.add_argument("--once", action="store_true", help="print the table once, and leave")
    parser.add_argument("--json", action="store_true", help="print JSON once, for programs")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Show the trainings."""
    args = parse_arguments(argv)
    results = ResultsLayout.find(args.results)
    configuration = read_configuration(results.configuration)
    if args.json:
        splits = [asdict(one) for one in statuses(configuration, results)]
        print(canonical_json.dumps({"results": str(results.root), "splits": splits}))
    elif args.once or not sys.stdout.isatty():
        print_once(list(statuses(configuration, results)))
    else:
        watch(configuration, results)
    return 0


def print_once(trainings: list[TrainingStatus]) -> None:
    """Print all trainings."""
    # Imported here: scripts that read JSON need not wait for it.
    from rich.console import Console

    from memtrain.reporting.status_table import StatusTable

    on_terminal = sys.stdout.isatty()
    Console(width=None if on_terminal else 160).print(StatusTable(trainings))


def watch(configuration: Configuration, results: ResultsLayout) -> None:
    """Renew the table until every training is finished."""
    from rich.live import Live

    from memtrain.reporting.status_table import StatusTable

    def look() -> StatusTable:
        nonlocal trainings
        trainings = list(statuses(configuration, results))
        return StatusTable(trainings, fits_height=True)

    trainings: list[TrainingStatus] = []
    with Live(look(), auto_refresh=False) as live:
        while any(one.state != "finished" for one in trainings):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            live.update(look(), refresh=True)


if __name__ == "__main__":
    run(main)
