"""Predict rows by the trained model of a split.

The rows are those of the split's dataset (data.npy or rows.json), all of them or --rows; or those
of tables of your own, of any kind that is imported (.csv, .parquet, .arrow, ...), with the columns
that were imported; or an array of features, .npy. Rows that vary in length are lists in a column of
a Parquet or Arrow file. With --files, they lie in files of your own as a field of `dataset: files:`
does: windows of a stream, or rows that vary in length. They are read a few MiB at a time.

The program writes a record for every row, which numpy.load reads:

  row         its number in the file, from 0; of several files, counted through all of them
  prediction  the predicted numbers in the unit of the target, the probability of yes, or the
              probability of every class; with more than 1,000 classes of the ten most probable
  class       only then: the ten classes

A model that predicts every element of a row, such as the next token, gives the most probable class
of each, and its probability as prediction: in one record a row, or, where rows vary in length, in
one record an element, whose number in the row is in the field element.

Classes are in the order of `memtrain.load_model(FOLDER).class_names`. The file appears when it is
complete. A run that was killed leaves what it has predicted in a folder beside the file, and the
next one goes on from there, if model, code and rows are the same. If the folder of the split is one
of results/<dataset>/splits, the run is recorded there.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.number_arguments import number_of
from memtrain.config.files import FieldSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import raise_problems
from memtrain.core.group_borders import resolve_pair
from memtrain.core.ranges import Range, parse_bound
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.groups import read_group_borders
from memtrain.data.layouts import read_layout
from memtrain.data.made_from import (
    files_digest,
    packages_text,
    versions_of_packages,
    write_statement,
)
from memtrain.data.manifest import Manifest
from memtrain.data.rows_of_files import files_of_layout
from memtrain.data.source import Source
from memtrain.lineage.commands.row_arguments import parse_rows
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.recipes.predicted_rows import digest_of_predicted_rows, predicted_settings
from memtrain.recipes.withdrawals import (
    WITHDRAWALS_FILE,
    Withdrawal,
    read_withdrawals,
    withdrawals_digest,
)
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file
from memtrain.system.file_notes import FileState
from memtrain.system.sole_writer import sole_writer
from memtrain.workflow.result_code import own_code, own_modules, result_code_digest

if TYPE_CHECKING:
    from memtrain.inference.loaded_model import LoadedModel
    from memtrain.inference.row_files import Bounds, RowsOfFiles

EXAMPLES = """\
examples:
  predict.py --split results/flights/splits/mlp --data new.parquet --predictions new.npy
  predict.py --split results/flights/splits/mlp --data "new/*.csv" --csv '{delimiter: ";"}' \\
      --predictions new.npy
  predict.py --split results/mock/splits/most --data results/mock/data.npy --rows 0:1000 \\
      --predictions first.npy
  predict.py --split results/tokens/splits/all --predictions new.npy \\
      --files '{path: "new/*.bin", dtype: uint16, windows: {length: 1024}}'"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, epilog=EXAMPLES)
    parser.add_argument("--split", required=True, metavar="FOLDER", help="the folder of the split")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", help="a file, a folder, or a pattern in quotes")
    data.add_argument(
        "--files",
        metavar="SETTINGS",
        help="files that are read where they lie, such as streams of tokens: what a field under "
        "`dataset: files: fields` in config.yaml takes",
    )
    parser.add_argument("--predictions", required=True, help="the predictions to write, .npy")
    parser.add_argument(
        "--rows",
        type=parse_bounds,
        action="append",
        default=[],
        metavar="START:END",
        help="of a data file, an array or --files, the rows START to END-1: numbers, or "
        "percentages like 80%%; may be given several times (default: all rows)",
    )
    parser.add_argument(
        "--csv",
        metavar="SETTINGS",
        help="how text files are written, as under `dataset: import: csv:` in config.yaml "
        "(default: as those that were imported)",
    )
    parser.add_argument(
        "--withdrawals",
        default=WITHDRAWALS_FILE,
        help="list of the rows of a dataset that are left out (default: %(default)s, if it exists)",
    )
    parser.add_argument(
        "--dataset",
        help="the name of the dataset in that list (default: that of the folder of the data file)",
    )
    parser.add_argument(
        "--manifest",
        help="the manifest of the data file, which tells whether rows have changed (default: its "
        "size and times do)",
    )
    parser.add_argument(
        "--made-from",
        help="the digests of what the predictions were made from, and of their file, to write, "
        ".json (default: none)",
    )
    parser.add_argument(
        "--keep-every",
        type=number_of("seconds"),
        default=20.0,
        metavar="SECONDS",
        help="how old predictions get that a run which is killed would lose (default: %(default)s)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: as in training")
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def parse_bounds(text: str) -> "Bounds":
    """Return the start and the end of a range: row numbers, or percentages of all rows."""
    if "%" not in text:
        rows = parse_rows(text)
        return rows.start, rows.end
    try:
        start, end = (int(one) if one.isdigit() else one for one in text.split(":"))
        parse_bound(start)
        parse_bound(end)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {text}; give START:END, each a row number or a percentage like 80%"
        ) from None
    return start, end


def main(argv: list[str] | None = None) -> int:
    """Predict some rows."""
    args = parse_arguments(argv)
    # Imported late: PyTorch comes with them, and the help is not to wait for it.
    from memtrain.components.device import gpu_memory_errors
    from memtrain.inference.kept_predictions import KeptPredictions
    from memtrain.inference.loaded_model import warn_of_unknown_words
    from memtrain.inference.loading import load_model
    from memtrain.inference.prediction_file import write_predictions

    results = ResultsLayout.of_split(Path(args.split))
    if args.records is None and results is not None and results.records.is_dir():
        args.records = str(results.records)
    csv = parse_settings_text(CsvSettings, args.csv) if args.csv else None
    field = parse_settings_text(FieldSettings, args.files) if args.files else None
    # A split may make several predictions, and a mistake in one of them is none in another.
    split, part = Path(args.split).resolve().name, Path(args.predictions).resolve().parent.name
    with recording(__file__, args, split, part) as record:
        with gpu_memory_errors("Use a GPU with more memory that is free, or `--device cpu`."):
            model = load_model(args.split, args.device)
            settings = model.recipe.training.settings
            record.reaches(own_code(settings, Path.cwd()))
            code = result_code_digest(Path(__file__), own_modules(settings), Path.cwd())
            withdrawals = withdrawals_of_data(args)
            rows = open_rows(args, model, field, csv, withdrawals)
            describe_inputs(args, rows, record)
            origin = {
                "code": code,
                "recipe": model.recipe.digest("training"),
                "model": digest_of_file(SplitLayout(Path(args.split)).model),
                "rows": digest_of_rows(args, rows, withdrawals),
            } | predicted_settings(field, csv)
            with sole_writer(Path(args.predictions)):
                further = of_machine(model.device.type) | {"ranges": digest_of_ranges(rows)}
                kept = KeptPredictions(args.predictions, origin | further, args.keep_every)
                unknown = write_predictions(model, rows, args.predictions, kept)
        warn_of_unknown_words(unknown)
        if rows.of_dataset:
            record.wrote_rows(args.predictions, rows.ranges)
        else:
            record.wrote(args.predictions, "predictions")
        if args.made_from:
            write_statement(
                args.made_from,
                origin,
                [args.predictions],
                packages=versions_of_packages(),
                device=model.device.type,
            )
            record.wrote(args.made_from, "statement")
        print(f"{model.recipe.split}: {rows.count:,} rows predicted")
    return 0


def rows_at_borders(data: str, bounds: "list[Bounds]") -> "list[Bounds]":
    """Return ranges of rows whose percentages lie at borders of groups, as those of splits do.

    Args:
        data: the data file, whose source lies beside it; or other rows, which have no groups.
        bounds: start and end of each range.

    Raises:
        UserError: naming the ranges that hold no row then.
    """
    source = ResultsLayout(Path(data).parent).source
    has_percentages = any(isinstance(bound, str) for pair in bounds for bound in pair)
    if not (has_percentages and source.is_file()):
        return bounds
    count = read_layout(data).rows
    groups = read_group_borders(data, Source.read(source), count)
    if groups is None:
        return bounds
    found = [resolve_pair(pair, count, groups) for pair in bounds]
    raise_problems(
        f"--rows: {start}:{end} is {rows} at borders of groups of '{groups.column}', and holds no "
        "row. Choose a wider range."
        for (start, end), rows in zip(bounds, found, strict=True)
        if rows.rows <= 0
    )
    return [(rows.start, rows.end) for rows in found]


def open_rows(
    args: argparse.Namespace,
    model: "LoadedModel",
    field: FieldSettings | None,
    csv: CsvSettings | None,
    withdrawals: list[Withdrawal],
) -> "RowsOfFiles":
    """Open the rows to predict; the ranges among the arguments become those that are meant.

    Args:
        args: the arguments of the program.
        model: the model.
        field: how rows lie in files of the user's own; None where ``--data`` names them.
        csv: how text files are written; None: as those that were imported.
        withdrawals: the withdrawals of the dataset.
    """
    from memtrain.inference.row_files import open_described_rows, open_rows_of_files

    if field is not None:
        return open_described_rows(model, field, args.rows)
    args.rows = rows_at_borders(args.data, args.rows)
    return open_rows_of_files(
        model, args.data, args.rows, csv, lambda: withdrawn_rows(args, withdrawals)
    )


def of_machine(device: str) -> dict[str, str]:
    """Return what else the bytes of predictions may depend on: the packages and the device."""
    return {"packages": packages_text(versions_of_packages()), "device": device}


def withdrawals_of_data(args: argparse.Namespace) -> list[Withdrawal]:
    """Return the withdrawals of the dataset whose data file is read."""
    if args.data is None:
        return []
    return read_withdrawals(args.withdrawals, args.dataset or Path(args.data).resolve().parent.name)


def withdrawn_rows(args: argparse.Namespace, withdrawals: list[Withdrawal]) -> list[Range]:
    """Return the rows of the data file that nothing may use."""
    results = ResultsLayout(Path(args.data).parent)
    if not withdrawals:
        return []
    return WithdrawnRows(withdrawals, Path(args.withdrawals), results, data=args.data).find()


def digest_of_rows(
    args: argparse.Namespace, rows: "RowsOfFiles", withdrawals: list[Withdrawal]
) -> str:
    """Return a digest that changes with the rows that are predicted."""
    if not rows.of_dataset:
        return files_digest({str(path): digest_of_file(path) for path in rows.files})
    if args.manifest:
        manifest = Manifest.read(args.manifest)
        manifest.check_belongs_to(args.data, args.manifest)
        count = manifest.layout.rows
        asked = [resolve_pair(pair, count, None) for pair in args.rows or [(0, count)]]
        return digest_of_predicted_rows(manifest, asked, withdrawals_digest(withdrawals))
    files = [args.data]
    if is_description(args.data):
        files += files_of_layout(FilesLayout.read(args.data))
    states = {str(path): FileState.of(Path(path)).numbers for path in files}
    return canonical_json.digest([digest_of_ranges(rows), states])


def digest_of_ranges(rows: "RowsOfFiles") -> str:
    """Return the digest of the numbers of the rows that are predicted."""
    return canonical_json.digest([[one.start, one.end] for one in rows.ranges])


def describe_inputs(args: argparse.Namespace, rows: "RowsOfFiles", record: Recorder) -> None:
    """Record what is read: the model, its recipe, and the rows."""
    layout = SplitLayout(Path(args.split))
    record.reads(layout.recipe, "recipe")
    record.reads(layout.model, "model")
    for file in rows.files:
        if rows.of_dataset:
            record.reads_rows(file, {"": rows.ranges})
        else:
            record.reads(file, "table")


if __name__ == "__main__":
    run(main)
