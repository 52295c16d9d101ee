"""Bring rows of your own into a record file.

Reads .npy, .npz, .csv, .tsv, .txt (these packed as .gz or .zip, too), .parquet, .arrow and
.feather: one file, a folder of them, or a pattern like "data/*.csv". No file is read whole,
whatever its size.

Everything is read twice. The first time it is surveyed: rows are counted, words of categories and
labels of classes are found, and so is everything that is wrong. The second time the rows are
written, as records with the fields "features" and "target". Beside them, a JSON file says which
files they came from, with their digests, what the columns are called and how words were numbered.

With `shuffle_once`, the rows are written in a random order: the same for the same seed and files,
on every machine. The rows need not fit into memory, but the disk must hold them twice until the
file is complete. Where rows have groups (`group_by`), groups.npy beside the record file says where
each starts.
"""

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.dataset import ImportSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.core.ranges import Range
from memtrain.data import record_file
from memtrain.data.external_shuffle import ShuffledWriter, reordered
from memtrain.data.groups import groups_beside, write_group_starts
from memtrain.data.made_from import files_digest, settings_digest
from memtrain.data.record_file import RecordWriter
from memtrain.data.row_places import RowPlaces, SourcePlaces
from memtrain.data.tables.importer import TableImport
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.workflow.result_code import result_code_digest

SETTINGS = """\
settings, as under `dataset: import:` in config.yaml:
  path          a file, a folder of files, or a pattern; or {features: X.npy, target: y.npy}
  features      the columns that the model sees: names (of a .npy matrix, numbers), patterns
                ("pixel_*"), positions ("0:64"), {type: number}, {all_but: [id]}, or a list of these
  target        the columns that it learns to predict, as for features
  dtypes        types of columns, or of all `features` or the `target`: {target: int64}; float32
                unless given. A target of integers is a class.
  inexact       error (unless given): an integer that its type cannot hold exactly stops the import;
                round: the nearest number is written; or one of them by column: {id: round}
  categories    columns of text: a feature becomes one column a word, a target the number of its
                class
  missing       error (unless given): stop; drop: leave the row out; keep: leave it missing, for
                `impute` of the training; or one of them by column, or for `features` and `target`
  csv           how text files are written: delimiter, decimal, thousands, encoding, quote,
                null_values, skip_rows, column_names: {delimiter: ";", decimal: ","}
  shuffle_once  a seed: write the rows in random order, which takes twice their space on the disk;
                null (unless given): keep the order of the files. {seed: 1, stratify_by: species}:
                in an order in which every range has the shares of the classes of a column;
                {seed: 1, group_by: patient}: in groups, which ranges and folds do not cut
  group_by      for rows that keep their order: the column whose values are such groups

A column of several numbers a row (a subarray of .npy, an array in .npz, a fixed-size list in
.parquet) is named once and becomes columns "name[0]", "name[1]", ...; where it is the only one of
the features, the model sees its shape, such as (12, 4).

example:
  import_data.py --data data.npy --source source.json --settings '{path: "data/*.csv",
    features: [distance, carrier], target: [delay], categories: [carrier], missing: drop}'"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, epilog=SETTINGS)
    parser.add_argument("--settings", required=True, help="YAML or JSON; see below")
    parser.add_argument("--data", required=True, help="the record file to write")
    parser.add_argument("--source", required=True, help="the JSON file to write")
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def ordering(
    writer: RecordWriter, places: RowPlaces, path: str
) -> AbstractContextManager[RecordWriter | ShuffledWriter]:
    """Return the writer that brings rows into the order of their places."""
    if isinstance(places, SourcePlaces):
        return nullcontext(writer)
    return reordered(writer, places, path)


def main(argv: list[str] | None = None) -> int:
    """Import rows and write down where they came from."""
    args = parse_arguments(argv)
    with recording(__file__, args) as record:
        code = result_code_digest(Path(__file__))
        settings = parse_settings_text(ImportSettings, args.settings)
        seed = settings.shuffle_once.seed if settings.shuffle_once else None
        record.set(**{"import": settings.model_dump(mode="json")}, seed=seed)
        rows = TableImport(settings)
        rows.survey()
        with record_file.create(args.data, rows.dtype, rows.rows) as writer:
            places = rows.order.places(writer.layout, Path(args.data).parent)
            with ordering(writer, places, args.data) as ordered:
                rows.write(ordered)
        starts, groups = rows.order.group_starts(places), None
        if starts is not None:
            groups = groups_beside(args.data)
            write_group_starts(groups, starts)
        source = rows.source()
        made_from = {
            "code": code,
            "settings": settings_digest(settings),
            "files": files_digest(
                {file["path"]: f"sha256:{file['sha256']}" for file in source.origin["files"]}
            ),
        }
        source.made_of(made_from, args.data, groups).write(args.source)
        for file in source.origin["files"]:
            record.reads(file["path"], "imported", digest=f"sha256:{file['sha256']}")
        record.wrote_rows(args.data, [Range(0, rows.rows)], rows.rows)
        record.wrote(args.source, "source")
        if groups is not None:
            record.wrote(groups, "groups")
        print(
            f"{args.data}: {rows.rows_read:,} rows read, {rows.rows_dropped:,} dropped, "
            f"{rows.rows:,} written, {writer.layout.file_bytes:,} bytes"
        )
    return 0


if __name__ == "__main__":
    run(main)
