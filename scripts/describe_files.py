"""Describe rows that lie in files: where each of them lies, and what it means.

Nothing is copied. The description, rows.json, stands where other datasets have a file of rows:
every other program takes it as `--data`. It holds the paths, the sizes and the headers of the
files, and how rows follow from them: one element each, or windows of a stream.

Only headers are read, unless the settings name an element at which documents end.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.files import FilesSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.config.results import BORDERS_FILE
from memtrain.core.ranges import Range
from memtrain.core.wording import counted
from memtrain.data.described_from import described_from
from memtrain.data.files_description import describe_files
from memtrain.data.made_from import settings_digest
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.workflow.result_code import result_code_digest

SETTINGS = """\
settings, as under `dataset: files:` in config.yaml:
  path          a file, a pattern, or a list of these: laid end to end in natural order
  fields        in place of path: {name: {path: ..., target: true}}, fields side by side
  features      columns of one matrix ("0:64"), or names of fields of records or of arrays
  target        what is learned, written like features
  windows       {length, stride, target, borders, rest}: rows that are windows of a stream
  format, dtype, shape, header_bytes   of raw files; others describe themselves
  array         which of several arrays of a file
  task          regression or classification; whole numbers are classes unless given
  classes       the number of classes

examples:
  describe_files.py --data rows.json --source source.json --settings '{path: "corpus/*.bin",
    dtype: uint16, windows: {length: 1024, target: next}}'
  describe_files.py --data rows.json --source source.json --settings '{fields: {x: {path: x.npy},
    y: {path: y.npy, target: true}}}'"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, epilog=SETTINGS)
    parser.add_argument("--settings", required=True, help="YAML or JSON; see below")
    parser.add_argument("--data", required=True, help="the description to write: rows.json")
    parser.add_argument("--source", required=True, help="the JSON file to write")
    parser.add_argument(
        "--known",
        help="the file of digests that are known, which saves reading large files twice (default: "
        "none)",
    )
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Describe rows in files."""
    args = parse_arguments(argv)
    with recording(__file__, args) as record:
        code = result_code_digest(Path(__file__))
        settings = parse_settings_text(FilesSettings, args.settings)
        record.set(files=settings.model_dump(mode="json"))
        notes = FileNotes(Path(args.known) if args.known else None)
        # Before the files are described: what changes meanwhile is described again.
        files = described_from(settings, FileNotes(), KnownDigests(notes).digest)
        notes.save()
        assert files is not None, "there is no limit to what is read"
        layout, source = describe_files(settings)
        layout.write(args.data)
        made_from = {"code": code, "settings": settings_digest(settings), "files": files}
        borders = Path(args.data).with_name(BORDERS_FILE) if layout.documents else None
        source.made_of(made_from, args.data, borders).write(args.source)
        record.wrote_rows(args.data, [Range(0, layout.rows)], layout.rows)
        if borders is not None:
            record.wrote(borders, "borders")
        record.wrote(args.source, "source")
        count = sum(len(one.stream.paths) for one in layout.stored)
        print(
            f"{args.data}: {layout.rows:,} rows of {counted(len(layout.stored), 'field')} in "
            f"{counted(count, 'file')}, {layout.row_bytes:,} bytes a row"
        )
    return 0


if __name__ == "__main__":
    run(main)
