"""Find out what made a result, and what a row, a shard or a file has been used for.

Every run of the workflow leaves a record below results/<dataset>/lineage/, and these commands read
the records. Run them in the folder of the project; paths are relative to that folder.
`lineage.py COMMAND --help` explains a command.
"""

import argparse

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.lineage.commands import (
    accept,
    diff,
    explain,
    export,
    impact,
    log,
    page,
    replay,
    restore,
    sign,
    verify,
    verify_signature,
    withdraw,
)
from memtrain.lineage.commands.base import Commands, run_command

#: The commands, in the order in which ``--help`` lists them.
COMMANDS = (
    explain,
    impact,
    verify,
    withdraw,
    restore,
    accept,
    diff,
    log,
    page,
    export,
    sign,
    verify_signature,
    replay,
)

EXIT_STATUS = """\
exit status: 0 no finding; 1 a finding (a difference, a file that is not what was recorded, a record
that cannot be read); 2 a mistake in the command line or in the data, named on standard error."""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments; ``run`` is the function of the chosen command."""
    parser = argument_parser(__name__, exit_status=EXIT_STATUS)
    commands = Commands(parser)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run one command."""
    return run_command(parse_arguments(argv))


if __name__ == "__main__":
    run(main)
