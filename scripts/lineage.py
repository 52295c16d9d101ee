"""Ask what made a result, and what a row, a shard or a file has reached.

Every run of the workflow leaves records below results/<dataset>/lineage/; this program reads them.

  explain PATH      the tree upstream of a result, down to the source of its rows
  impact ...        everything downstream of rows, a shard, a digest or a file
  verify [PATH]     compares the disk with the records, and says which models are touched
  withdraw, restore rows that no split may use any more; the next snakemake trains without them
  diff A [B]        what differs between two results, or two runs of one: why a job ran again
  log [PATH]        the history, also of what has been overwritten since
  page OUT.html     all of it to click through: the graph, and the rows of every split
  export ...        all this as RO-Crate, PROV, OpenLineage, SLSA provenance or Croissant
  sign, verify-signature
                    of exported SLSA provenance
  replay --to URL   sends the recorded events to an OpenLineage server

Paths are seen from the folder that the workflow runs in. `lineage.py COMMAND --help` has more.
"""

import argparse
import sys

from memtrain.cli.environment_check import require_environment

require_environment()

from memtrain.cli.entry_point import argument_parser, run
from memtrain.core.errors import UserError
from memtrain.lineage.commands import (
    checking,
    comparing,
    drawing,
    exploring,
    exporting,
    signing,
)
from memtrain.lineage.commands.base import Commands

GROUPS = (exploring, checking, comparing, drawing, exporting, signing)

EXIT_STATUS = """\
exit status: 0 nothing found wrong; 1 a finding (a difference, a file that is not what was recorded,
a record that cannot be read); 2 the command line is wrong."""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments; ``command`` is the function that answers."""
    parser = argument_parser(__doc__, exit_status=EXIT_STATUS)
    commands = Commands(parser)
    for group in GROUPS:
        group.add_commands(commands)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Answer one question."""
    arguments = parse_arguments(argv)
    try:
        return arguments.command(arguments)
    except UserError as error:
        for problem in error.problems:
            print(f"lineage.py: error: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run(main)
