"""Check a configuration, and the models, losses, optimizers and the like that it names.

The workflow runs this before rows are generated or imported, which may take hours: all mistakes of
all splits are told at once. Names, paths of imports and arguments are checked, and whether the loss
fits the target. resolve_splits checks them again, on the rows. No file is written.
"""

import argparse

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.reading import read_content
from memtrain.core.errors import raise_problems
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--config", required=True, help="the configuration, YAML or JSON")
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Check the components of all splits."""
    args = parse_arguments(argv)
    # Imported late: PyTorch comes with it, and the help is not to wait for it.
    from memtrain.planning.component_check import all_problems

    with recording(__file__, args) as record:
        content = read_content(args.config)
        record.reads(args.config, "configuration")
        raise_problems(all_problems(content))
    print(f"{args.config}: what the trainings name was found and takes its arguments")
    return 0


if __name__ == "__main__":
    run(main)
