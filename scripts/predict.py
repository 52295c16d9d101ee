"""Predict rows by the trained model of a split.

The rows are those of the split's dataset (data.npy or rows.json), all of them or --rows; or those
of tables of your own, of any kind that is imported (.csv, .parquet, .arrow, ...), with the columns
that were imported; or an array of features, .npy. They are read a few MiB at a time.

The program writes a record for every row, which numpy.load reads:

  row         its number in the file, from 0; of several files, counted through all of them
  prediction  the predicted numbers in the unit of the target, the probability of yes, or the
              probability of every class; with more than 1,000 classes of the ten most probable
  class       only then: the ten classes

Classes are in the order of `memtrain.load_model(FOLDER).class_names`. The file appears when it is
complete. If the folder of the split is one of results/<dataset>/splits, the run is recorded there.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.parsing import parse_settings_text
from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.config.text_files import CsvSettings
from memtrain.lineage.commands.row_arguments import parse_rows
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.workflow.result_code import own_code

if TYPE_CHECKING:
    from memtrain.inference.row_files import RowsOfFiles

EXAMPLES = """\
examples:
  predict.py --split results/flights/splits/mlp --data new.parquet --predictions new.npy
  predict.py --split results/flights/splits/mlp --data "new/*.csv" --csv '{delimiter: ";"}' \\
      --predictions new.npy
  predict.py --split results/mock/splits/most --data results/mock/data.npy --rows 0:1000 \\
      --predictions first.npy"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, epilog=EXAMPLES)
    parser.add_argument("--split", required=True, metavar="FOLDER", help="the folder of the split")
    parser.add_argument("--data", required=True, help="a file, a folder, or a pattern in quotes")
    parser.add_argument("--predictions", required=True, help="the predictions to write, .npy")
    parser.add_argument(
        "--rows",
        type=parse_rows,
        metavar="START:END",
        help="of a data file or an array, the rows START to END-1 (default: all rows)",
    )
    parser.add_argument(
        "--csv",
        metavar="SETTINGS",
        help="how text files are written, as under `dataset: import: csv:` in config.yaml "
        "(default: as those that were imported)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: as in training")
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Predict some rows."""
    args = parse_arguments(argv)
    # Imported late: PyTorch comes with them, and the help is not to wait for it.
    from memtrain.components.device import gpu_memory_errors
    from memtrain.inference.loaded_model import warn_of_unknown_words
    from memtrain.inference.loading import load_model
    from memtrain.inference.prediction_file import write_predictions
    from memtrain.inference.row_files import open_rows_of_files

    args.records = args.records or default_records(Path(args.split))
    csv = parse_settings_text(CsvSettings, args.csv) if args.csv else None
    with recording(__file__, args, Path(args.split).resolve().name) as record:
        with gpu_memory_errors("Use a GPU with more memory that is free, or `--device cpu`."):
            model = load_model(args.split, args.device)
            record.reaches(own_code(model.recipe.training.settings, Path.cwd()))
            rows = open_rows_of_files(model, args.data, args.rows, csv)
            describe_inputs(args, rows, record)
            unknown = write_predictions(model, rows, args.predictions)
        warn_of_unknown_words(unknown)
        if rows.of_dataset:
            record.wrote_rows(args.predictions, [rows.rows])
        else:
            record.wrote(args.predictions, "predictions")
        print(f"{model.recipe.split}: {rows.rows.rows:,} rows predicted")
    return 0


def default_records(split: Path) -> str | None:
    """Return the folder of the records of the dataset that a split is one of; None for a copy."""
    layout = ResultsLayout(split.resolve().parent.parent)
    is_in_results = layout.split(split.resolve().name).folder == split.resolve()
    return str(layout.records) if is_in_results and layout.records.is_dir() else None


def describe_inputs(args: argparse.Namespace, rows: "RowsOfFiles", record: Recorder) -> None:
    """Record what is read: the model, its recipe, and the rows."""
    layout = SplitLayout(Path(args.split))
    record.reads(layout.recipe, "recipe")
    record.reads(layout.model, "model")
    for file in rows.files:
        if rows.of_dataset:
            record.reads_rows(file, {"": [rows.rows]})
        else:
            record.reads(file, "table")


if __name__ == "__main__":
    run(main)
