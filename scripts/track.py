"""Send trackers what they do not have of the trainings that are finished.

While a training runs, it is mirrored into the trackers that `tracking:` in config.yaml names. This
sends what did not arrive then: because a server was down, or no tracker was set yet, or the model
was evaluated later. What has arrived is not sent again. Trainings that run, or are not finished,
are left to the programs that mirror them.
"""

import argparse
import os
import sys
import threading
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.number_arguments import whole_number
from memtrain.cli.results_argument import add_results_argument
from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.currency import current_configuration
from memtrain.tracking.sending import Sent, finished_training, send
from memtrain.tracking.tracked_training import TrackedTraining


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("command", choices=["send"], help="what to do")
    add_results_argument(parser)
    parser.add_argument(
        "--split", action="append", metavar="SPLIT", help="send this split alone (repeatable)"
    )
    parser.add_argument(
        "--max-seconds",
        type=whole_number(1),
        help="seconds after which the rest is left to the next call (default: no limit)",
    )
    parser.add_argument("--quiet", action="store_true", help="tell only what was not sent")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Send what trackers do not have."""
    args = parse_arguments(argv)
    results = ResultsLayout.find(args.results)
    configuration = current_configuration(results, Path.cwd())
    settings = configuration.tracking
    if not settings.names:
        raise UserError(
            "tracking: no tracker is set in config.yaml. Add `tracking: {tensorboard: {}}` or "
            "`tracking: {mlflow: {uri: http://localhost:5000}}`."
        )
    if args.max_seconds:
        leave_after(args.max_seconds)
    trainings = list(trainings_of(results, chosen(args, configuration.split_names)))
    sent = [send(name, settings, results.tracking, trainings) for name in settings.names]
    for one in sent:
        tell(one, args.quiet)
    return 1 if any(one.problem for one in sent) else 0


def chosen(args: argparse.Namespace, names: list[str]) -> list[str]:
    """Return the splits to send.

    Raises:
        UserError: if one is not configured.
    """
    unknown = sorted(set(args.split or ()) - set(names))
    if unknown:
        raise UserError(f"--split {unknown[0]}: there is no such split; known are {listed(names)}.")
    return args.split or names


def trainings_of(results: ResultsLayout, splits: list[str]) -> list[TrackedTraining]:
    """Return the trainings of splits that are finished, with their runs in the lineage."""
    index = LineageIndex(results.records, Path.cwd())
    found = []
    for split in splits:
        model = os.path.relpath(results.split(split).model)
        runs = index.completed_runs_that_wrote(model)
        lineage_run = index.run(runs[-1]).run_id if runs else None
        if (training := finished_training(results, split, lineage_run)) is not None:
            found.append(training)
    index.close()
    return found


def tell(sent: Sent, is_quiet: bool) -> None:
    """Print what a tracker was sent."""
    if sent.problem:
        missing = listed(sent.missing)
        print(
            f"tracking.{sent.tracker}: {sent.problem.rstrip('.')}. Not sent: {missing}. `python "
            "scripts/track.py send` sends them.",
            file=sys.stderr,
        )
    elif not is_quiet:
        print(
            f"{sent.tracker}: {counted(len(sent.sent), 'training')} sent, "
            f"{counted(sent.known, 'training')} there already"
        )


def leave_after(seconds: int) -> None:
    """End this program after some seconds; what it was sending is sent by the next call."""

    def leave() -> None:
        print(
            f"tracking: not all was sent within {seconds} seconds. `python scripts/track.py send` "
            "sends the rest.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    run(main)
