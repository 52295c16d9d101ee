"""Read a data file once, and write down its shards.

A shard is a range of rows. For each shard, the manifest holds the digest of its bytes and the
statistics of its fields (count, mean, M2, minimum, maximum, values that are not finite). They give
the statistics and the digest of any range of rows; only shards that it cuts are read again.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.number_arguments import MOST_THREADS, whole_number
from memtrain.core.ranges import Range
from memtrain.data.indexing import auto_rows_per_shard, read_nonempty_layout, summarize_shards
from memtrain.data.made_from import shard_settings_digest
from memtrain.data.manifest import Manifest, part_paths, write_manifest
from memtrain.data.rows_of_files import digest_of_rows
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.lineage.records.row_pieces import pieces_of_manifest
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.system.progress import Progress
from memtrain.workflow.result_code import result_code_digest


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--data", required=True, help="a record file, or any .npy of rows")
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
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def rows_or_auto(text: str) -> int | str:
    """Read a number of rows, or "auto"."""
    return text if text == "auto" else whole_number(1)(text)


def main(argv: list[str] | None = None) -> int:
    """Index a data file."""
    args = parse_arguments(argv)
    with recording(__file__, args) as record:
        record.set(rows_per_shard=args.rows_per_shard, digest=args.digest)
        manifest = index(args)
        record.reads_rows(
            args.data, {"": [Range(0, manifest.layout.rows)]}, pieces_of_manifest(manifest)
        )
        for path in (args.manifest, *part_paths(args.manifest, manifest)):
            record.wrote(path, "manifest")
        print(
            f"{args.manifest}: {len(manifest.shards):,} shards of "
            f"{manifest.rows_per_shard:,} rows, {manifest.layout.rows:,} rows in all"
        )
    return 0


def index(args: argparse.Namespace) -> Manifest:
    """Write the manifest, a part as soon as it is known, and return it."""
    code = result_code_digest(Path(__file__))
    layout = read_nonempty_layout(args.data)
    rows_per_shard = (
        auto_rows_per_shard(layout) if args.rows_per_shard == "auto" else args.rows_per_shard
    )
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
    return Manifest.read(args.manifest)


def made_from(args: argparse.Namespace, code: str) -> dict[str, str]:
    """Return what the manifest is made from: digests by name."""
    notes = FileNotes(Path(args.known) if args.known else None)
    data = digest_of_rows(args.data, KnownDigests(notes).digest)
    notes.save()
    assert data is not None, "there is no limit to what is read"
    return {
        "code": code,
        "settings": shard_settings_digest(args.rows_per_shard, args.digest),
        "data": data,
    }


if __name__ == "__main__":
    run(main)
