"""Write a configuration for a table, run the workflow on it, and look at what came of it.

  memtrain init houses.csv               list the columns of a table
  memtrain init houses.csv --target price
                                         write config.yaml, with the reason for every choice
  memtrain run                           train, evaluate and compare; run again, and only what
                                         is missing or changed is made
  memtrain status                        how far the trainings are
  memtrain lineage explain FILE          what made a result
  memtrain completion bash               a script by which bash completes all of this; or zsh

In a checkout that is not installed, `python path/to/memtrain/scripts/memtrain_command.py` is the
same as `memtrain`.
"""

import argparse
import sys

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.core.wording import listed
from memtrain.frontdoor.command import add_commands, hand_on
from memtrain.frontdoor.workflow_run import run_workflow


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    add_commands(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run one command."""
    given = sys.argv[1:] if argv is None else argv
    asks_for_help = {*given[1:]} & {"-h", "--help"}
    if given and given[0] == "run" and not asks_for_help:
        run_workflow(given[1:])
    args = parse_arguments(argv if given else ["--help"])
    if args.command == "completion":
        return print_completion(args.shell)
    # Said before the imports, so that nobody looks at an empty screen.
    sys.stderr.write(f"looking at {listed(args.path, 5)}\n")
    from memtrain.frontdoor.init import init

    return init(args)


def print_completion(shell: str) -> int:
    """Print the script by which a shell completes the commands."""
    from memtrain.frontdoor.completion import FIRST_LINES, completion
    from memtrain.frontdoor.completion_words import all_commands

    print(FIRST_LINES[shell], flush=True)
    print(completion(shell, all_commands()), end="")
    return 0


if __name__ == "__main__":
    hand_on(sys.argv[1:])
    run(main)
