"""Write the complete recipe of every split.

A recipe (split.json) holds all that a training and its evaluation depend on, but for the code: the
ranges in rows with the digests of exactly these rows, the statistics of the training rows, every
setting with its default filled in. Whatever does not fit (a range outside the data, a model that
cannot be imported, a loss for another kind of target, a value that is not finite) is told here, all
at once, before anything is trained.
"""

import argparse
import sys
from pathlib import Path

from memtrain.config_file import read_configuration
from memtrain.manifest import Manifest
from memtrain.program import argument_parser, run
from memtrain.source import Source
from memtrain.split_resolution import describe_weak_shuffle, resolve_splits


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__doc__)
    parser.add_argument("--config", required=True, help="the configuration, YAML or JSON")
    parser.add_argument("--data", required=True, help="the record file")
    parser.add_argument("--manifest", required=True, help="its manifest, from index_shards")
    parser.add_argument("--source", required=True, help="its source.json")
    parser.add_argument(
        "--splits", required=True, help="the folder to write to: <splits>/<split>/split.json"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Resolve all splits, and only then write any."""
    args = parse_arguments(argv)
    configuration = read_configuration(args.config)
    manifest = Manifest.read(args.manifest)
    manifest.check_belongs_to(args.data, args.manifest)
    recipes = resolve_splits(configuration, args.data, manifest, Source.read(args.source))
    for recipe in recipes:
        recipe.write(Path(args.splits) / recipe.split / "split.json")
        training, evaluation = recipe.training.rows, recipe.evaluation.rows
        print(
            f"{recipe.split}: {training.count:,} rows to train on, {evaluation.count:,} to "
            f"evaluate on, {recipe.training.sizes.steps:,} steps"
        )
        if warning := describe_weak_shuffle(recipe):
            print(f"warning: {warning}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run(main)
