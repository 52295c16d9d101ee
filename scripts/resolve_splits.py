"""Write the complete recipe of every split.

A recipe (split.json) holds all that a training and its evaluation depend on, except the code: the
ranges in rows with the digests of exactly these rows, the statistics of the training rows, and
every setting with its default filled in. All mistakes are reported here at once, before anything is
trained: ranges outside the data, models that cannot be imported, losses for another kind of target,
values that are not finite.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.reading import read_configuration
from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.config.schema import Configuration
from memtrain.core.ranges import Range, count_rows
from memtrain.core.wording import listed
from memtrain.data.groups import groups_beside, read_group_borders
from memtrain.data.made_from import files_digest
from memtrain.data.manifest import Manifest
from memtrain.data.source import Source
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.planning.long_trainings import describe_long_training
from memtrain.planning.recipe_warnings import (
    describe_absent_classes,
    describe_unknown_words,
    describe_weak_shuffle,
)
from memtrain.planning.split_resolution import resolve_splits
from memtrain.recipes.recipe import Recipe
from memtrain.recipes.withdrawals import (
    WITHDRAWALS_FILE,
    Withdrawal,
    read_withdrawals,
    withdrawals_digest,
)
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.workflow.result_code import own_modules, result_code_digest

_log = logging.getLogger("memtrain.resolve_splits")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--config", required=True, help="the configuration, YAML or JSON")
    parser.add_argument("--data", required=True, help="the record file")
    parser.add_argument("--manifest", required=True, help="its manifest, from index_shards")
    parser.add_argument("--source", required=True, help="its source.json")
    parser.add_argument(
        "--splits", required=True, help="the folder to write to: <splits>/<split>/split.json"
    )
    parser.add_argument(
        "--withdrawals",
        default=WITHDRAWALS_FILE,
        help="list of the rows that are left out of every range (default: "
        f"{WITHDRAWALS_FILE}, if it exists)",
    )
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Resolve all splits, and only then write any."""
    args = parse_arguments(argv)
    with recording(__file__, args) as record:
        configuration = read_configuration(args.config)
        record.set(**configuration.model_dump(mode="json", include={"splits", "folds", "training"}))
        # Before any of it is imported: recipes say which code made them, whatever comes later.
        codes = codes_of_splits(configuration)
        manifest = Manifest.read(args.manifest)
        manifest.check_belongs_to(args.data, args.manifest)
        withdrawals = read_withdrawals(args.withdrawals, configuration.dataset.name)
        source = Source.read(args.source)
        notes = FileNotes(ResultsLayout(Path(args.source).parent).known_digests)
        recipes = resolve_splits(
            configuration,
            args.data,
            manifest,
            source,
            withdrawn_rows(args, withdrawals),
            read_group_borders(args.data, source, manifest.layout.rows),
            KnownDigests(notes).read_digest,
        )
        notes.save()
        for recipe in with_origins(args, configuration, recipes, withdrawals, codes):
            path = SplitLayout(Path(args.splits, recipe.split)).recipe
            recipe.write(path)
            describe(recipe, source)
            record.wrote(path, "recipe", part=recipe.split)
        record.reads_rows(
            args.data, {recipe.split: recipe.training_and_evaluation_rows for recipe in recipes}
        )
        for role in ("manifest", "source"):
            record.reads(getattr(args, role), role)
        if source.group_column is not None:
            record.reads(groups_beside(args.data), "groups")
        record.reads(args.config, "configuration")
        if Path(args.withdrawals).exists():
            record.reads(args.withdrawals, "withdrawals")
    return 0


def with_origins(
    args: argparse.Namespace,
    configuration: Configuration,
    recipes: Sequence[Recipe],
    withdrawals: Sequence[Withdrawal],
    codes: Mapping[str, str],
) -> list[Recipe]:
    """Return recipes that say what they were made from.

    Args:
        args: the command line's arguments.
        configuration: the configuration.
        recipes: the recipes of all splits.
        withdrawals: the withdrawn rows.
        codes: digest of the code that resolved a split, by its name.
    """
    shared = {
        "source": digest_of_file(args.source),
        "manifest": digest_of_file(args.manifest),
        "withdrawals": withdrawals_digest(withdrawals),
    }
    return [
        recipe.model_copy(
            update={
                "made_from": {
                    "code": codes[recipe.split],
                    "settings": canonical_json.digest(
                        configuration.settings_of_split(recipe.split)
                    ),
                    **shared,
                    **(
                        {"reads": files_digest(recipe.training.files)}
                        if recipe.training.files
                        else {}
                    ),
                }
            }
        )
        for recipe in recipes
    ]


def codes_of_splits(configuration: Configuration) -> dict[str, str]:
    """Return the digest of the code that resolves a split, by the name of the split."""

    @cache
    def digest(*modules: str) -> str:
        return result_code_digest(Path(__file__), modules, Path.cwd())

    return {
        split: digest(*own_modules(configuration.training_settings(split)))
        for split in configuration.split_names
    }


def describe(recipe: Recipe, source: Source) -> None:
    """Say how large a split is; warn if its rows are badly shuffled, or if it takes months."""
    training, evaluation = recipe.training.rows, recipe.evaluation
    evaluated = f"{evaluation.rows.count:,} to evaluate on" if evaluation else "none to evaluate on"
    print(
        f"{recipe.split}: {training.count:,} rows to train on, {evaluated}, "
        f"{recipe.training.sizes.steps:,} steps"
    )
    if recipe.withdrawn:
        ranges = [Range(*rows) for rows in recipe.withdrawn]
        print(
            f"{recipe.split}: {count_rows(ranges):,} withdrawn rows are left out: {listed(ranges)}"
        )
    for warning in (
        describe_weak_shuffle(recipe, source.group_column is not None),
        describe_long_training(recipe),
        describe_absent_classes(recipe, source.class_names),
        describe_unknown_words(recipe),
    ):
        if warning:
            _log.warning(warning)


def withdrawn_rows(args: argparse.Namespace, withdrawals: Sequence[Withdrawal]) -> list[Range]:
    """Return the rows that no split may use, wherever they lie now."""
    results = ResultsLayout(Path(args.source).parent)
    return WithdrawnRows(withdrawals, Path(args.withdrawals), results, data=args.data).find()


if __name__ == "__main__":
    run(main)
