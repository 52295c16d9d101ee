"""Make up rows: features, and a target to learn from them.

Writes a record file (a .npy whose rows begin at byte 4096) of records with the fields "features"
and "target", and beside it a JSON file that says where the rows came from and the lowest loss that
any model can reach on them.

The same settings give the same bytes on every machine, with any number of threads; more rows leave
the first ones as they were.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.number_arguments import MOST_THREADS, whole_number
from memtrain.config.dataset import MockSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.core.ranges import Range
from memtrain.data.made_from import settings_digest
from memtrain.data.mock_rows import mock_dtype, write_mock_data
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.system.progress import Progress
from memtrain.workflow.result_code import result_code_digest


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(
        __name__,
        epilog="example: generate_data.py --settings '{rows: 10000, target: linear, seed: 1}' "
        "--data data.npy --source source.json",
    )
    parser.add_argument(
        "--settings",
        required=True,
        help="YAML or JSON, as under `dataset: mock:` in config.yaml: rows, features, target "
        "(random, linear, mlp), noise, classes, seed",
    )
    parser.add_argument("--data", required=True, help="the record file to write")
    parser.add_argument("--source", required=True, help="the JSON file to write")
    parser.add_argument(
        "--threads",
        type=whole_number(1, MOST_THREADS),
        default=2,
        help="chunks that are made at the same time (default: 2)",
    )
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Write mock rows and their source."""
    args = parse_arguments(argv)
    with recording(__file__, args) as record:
        code = result_code_digest(Path(__file__))
        settings = parse_settings_text(MockSettings, args.settings)
        record.set(mock=settings.model_dump(mode="json"), seed=settings.seed)
        with Progress("generating", settings.rows, "rows") as progress:
            source = write_mock_data(args.data, settings, args.threads, progress.advance)
        made_from = {"code": code, "settings": settings_digest(settings)}
        source.made_of(made_from, args.data).write(args.source)
        record.wrote_rows(args.data, [Range(0, settings.rows)], settings.rows)
        record.wrote(args.source, "source")
        size = settings.rows * mock_dtype(settings).itemsize
        print(
            f"{args.data}: {settings.rows:,} rows, {size:,} bytes; lowest loss {source.lowest_loss}"
        )
    return 0


if __name__ == "__main__":
    run(main)
