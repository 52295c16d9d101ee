"""Read a data file once, and write down its shards.

A shard is a range of rows. For each shard, the manifest holds the digest of its bytes and the
statistics of its fields (count, mean, M2, minimum, maximum, values that are not finite). They give
the statistics and the digest of any range of rows; only shards that it cuts are read again.

Rows in many files are indexed a group of files at a time, each into a part of the manifest of its
own. A part whose files have not changed since stays as it is. Several programs may index a group
each with --group; the program without it indexes what is left, and makes the manifest of all parts.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.number_arguments import MOST_THREADS, whole_number
from memtrain.config.results import INDEXED_FILE
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.wording import listed
from memtrain.data.file_groups import file_groups
from memtrain.data.files_layout import FilesLayout
from memtrain.data.group_index import GroupIndexing
from memtrain.data.indexing import auto_rows_per_shard, read_nonempty_layout, summarize_shards
from memtrain.data.layouts import RowLayout
from memtrain.data.made_from import shard_settings_digest
from memtrain.data.manifest import Manifest, part_paths, write_manifest
from memtrain.data.record_file import RecordLayout
from memtrain.data.rows_of_files import contents_of_rows, digest_of_contents
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.lineage.records.row_pieces import pieces_of_manifest
from memtrain.system import canonical_json
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.system.progress import Progress
from memtrain.workflow.result_code import result_code_digest


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument(
        "--data", required=True, help="a record file, any .npy of rows, or rows.json"
    )
    parser.add_argument(
        "--manifest",
        required=True,
        help="the JSON file to write; the shards go to a folder of its name beside it",
    )
    parser.add_argument(
        "--rows-per-shard",
        type=rows_or_auto,
        default="auto",
        help="a number, or auto (the default): the power of two that makes about 16 MiB",
    )
    parser.add_argument(
        "--digest", choices=["sha256", "blake3"], default="sha256", help="(default: sha256)"
    )
    parser.add_argument(
        "--threads",
        type=whole_number(1, MOST_THREADS),
        default=2,
        help="shards that are read at the same time (default: 2)",
    )
    parser.add_argument(
        "--known",
        help="the file of digests that are known, which saves reading large files twice (default: "
        "none)",
    )
    parser.add_argument(
        "--group",
        help="of rows in many files, index only this group of files, into a part of the manifest; "
        "a group that there is not makes an error that names those that there are (default: all)",
    )
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def rows_or_auto(text: str) -> int | str:
    """Read a number of rows, or "auto"."""
    return text if text == "auto" else whole_number(1)(text)


def main(argv: list[str] | None = None) -> int:
    """Index a data file."""
    args = parse_arguments(argv)
    with recording(__file__, args, part=args.group) as record:
        record.set(rows_per_shard=args.rows_per_shard, digest=args.digest)
        layout = read_nonempty_layout(args.data)
        if args.group is not None:
            index_group(args, layout, record)
            return 0
        code = result_code_digest(Path(__file__))
        if isinstance(layout, FilesLayout):
            index_files(args, layout, code)
        else:
            index_file(args, layout, code)
        manifest = Manifest.read(args.manifest)
        record.reads_rows(args.data, {"": [Range(0, layout.rows)]}, pieces_of_manifest(manifest))
        for path in (args.manifest, *part_paths(args.manifest, manifest)):
            record.wrote(path, "manifest")
        most = "up to " if len(manifest.grid.sections) > 1 else ""
        print(
            f"{args.manifest}: {len(manifest.shards):,} shards of "
            f"{most}{manifest.rows_per_shard:,} rows, {layout.rows:,} rows in all"
        )
    return 0


def index_file(args: argparse.Namespace, layout: RecordLayout, code: str) -> None:
    """Write the manifest of a record file, a part as soon as it is known."""
    rows_per_shard = chosen_rows_per_shard(args, layout)
    with Progress("indexing", layout.rows, "rows") as progress:
        shards = summarize_shards(
            args.data,
            layout,
            rows_per_shard=rows_per_shard,
            threads=args.threads,
            on_rows=progress.advance,
            algorithm=args.digest,
        )
        write_manifest(
            args.manifest,
            layout=layout,
            rows_per_shard=rows_per_shard,
            algorithm=args.digest,
            shards=shards,
            made_from=made_from(args, code),
        )


def index_files(args: argparse.Namespace, layout: FilesLayout, code: str) -> None:
    """Index the groups of files whose parts are not current, and write the manifest of all."""
    notes = FileNotes(Path(args.known) if args.known else None)
    indexing = group_indexing(args, layout, notes)
    groups = file_groups(layout)
    stale = [group for group in groups if not indexing.is_current(group)]
    if stale:
        rows = sum(group.rows.rows for group in stale)
        with Progress("indexing", rows, "rows") as progress:
            for group in stale:
                indexing.index(group, progress.advance)
                notes.save()
    if len(stale) < len(groups):
        print(f"{len(groups) - len(stale):,} of {len(groups):,} groups of files are unchanged")
    notes.save()
    indexing.join(groups, made_from(args, code))


def index_group(args: argparse.Namespace, layout: RowLayout, record: Recorder) -> None:
    """Index one group of files.

    Raises:
        UserError: where there is no such group.
    """
    groups = file_groups(layout) if isinstance(layout, FilesLayout) else []
    group = next((one for one in groups if one.name == args.group), None)
    if group is None or not isinstance(layout, FilesLayout):
        names = listed([one.name for one in groups]) or "none, since its rows lie in one file"
        raise UserError(f"--group {args.group}: {args.data} has the groups of files {names}.")
    notes = FileNotes(Path(args.known) if args.known else None)
    indexing = group_indexing(args, layout, notes)
    with Progress("indexing", group.rows.rows, "rows") as progress:
        indexing.index(group, progress.advance)
    notes.save()
    record.reads_rows(args.data, {"": [group.rows]})
    record.wrote(indexing.part_of(group), "manifest")
    print(f"{indexing.part_of(group)}: rows {group.rows}")


def group_indexing(
    args: argparse.Namespace, layout: FilesLayout, notes: FileNotes
) -> GroupIndexing:
    """Return how groups of files are indexed."""
    return GroupIndexing(
        data=args.data,
        layout=layout,
        manifest=Path(args.manifest),
        rows_per_shard=chosen_rows_per_shard(args, layout),
        algorithm=args.digest,
        made_from={
            "code": result_code_digest(Path(__file__)),
            "settings": shard_settings_digest(args.rows_per_shard, args.digest),
        },
        digest_of=KnownDigests(notes).read_digest,
        threads=args.threads,
    )


def chosen_rows_per_shard(args: argparse.Namespace, layout: RowLayout) -> int:
    """Return the number of rows of a shard."""
    return auto_rows_per_shard(layout) if args.rows_per_shard == "auto" else args.rows_per_shard


def made_from(args: argparse.Namespace, code: str) -> dict[str, str]:
    """Return what the manifest is made from: digests by name."""
    notes = FileNotes(Path(args.known) if args.known else None)
    contents = contents_of_rows(args.data, KnownDigests(notes).read_digest)
    data = digest_of_contents(contents)
    notes.save()
    assert data is not None, "there is no limit to what is read"
    if args.known:
        # The next call names the files that have changed by these.
        canonical_json.write(Path(args.known).with_name(INDEXED_FILE), contents)
    return {
        "code": code,
        "settings": shard_settings_digest(args.rows_per_shard, args.digest),
        "data": data,
    }


if __name__ == "__main__":
    run(main)
