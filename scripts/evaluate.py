"""Evaluate the model of one split on its evaluation rows.

Every evaluation row goes through the model once, in order. The program writes

  predictions.npy   a record for every row: "row", its number in the data; "target"; "prediction", a
                    number for every target or the probability of every class
  evaluation.json   metrics with standard errors; the same metrics of a baseline, which knows only
                    the mean of the training targets (or the shares of their classes); and how far
                    the loss is from the lowest possible one, where that is known

A standard error is the spread of a metric over resamples of the evaluation rows (`evaluation:
bootstrap:` in config.yaml). Both files depend on recipe, model and code alone.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.cli.settings_arguments import add_loading_arguments, loading_settings
from memtrain.components.device import gpu_memory_errors
from memtrain.evaluation.evaluator import Evaluator
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.lineage.records.row_pieces import pieces_of_recipe
from memtrain.recipes.integrity import check_pieces
from memtrain.recipes.recipe import Recipe
from memtrain.training.history import read_history
from memtrain.workflow.result_code import own_code


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--data", required=True, help="the record file with the rows, .npy")
    parser.add_argument("--split", required=True, help="the recipe, from resolve_splits")
    parser.add_argument("--model", required=True, help="the trained weights, from train")
    parser.add_argument("--history", required=True, help="the history of the training, from train")
    parser.add_argument("--evaluation", required=True, help="the metrics to write, .json")
    parser.add_argument("--predictions", required=True, help="the predictions to write, .npy")
    add_loading_arguments(parser)
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Evaluate one split."""
    args = parse_arguments(argv)
    with recording(__file__, args, Path(args.split).parent.name) as record:
        recipe, history = Recipe.read(args.split), read_history(args.history)
        describe_inputs(args, recipe, record)
        with gpu_memory_errors("Use a GPU with more memory that is free, or `device: cpu`."):
            evaluator = Evaluator(recipe, args.data, args.model, loading_settings(args))
            evaluation = evaluator.run(args.predictions, history.steps)
        evaluation.write(args.evaluation)
        record.tell("metrics", **evaluation.metrics)
        record.wrote(args.evaluation, "evaluation")
        record.wrote_rows(args.predictions, recipe.evaluation.rows.resolved)
    metrics = ", ".join(evaluation.describe(metric) for metric in evaluation.labels)
    print(f"{evaluation.split}: {evaluation.rows:,} rows evaluated; {metrics}")
    return 0


def describe_inputs(args: argparse.Namespace, recipe: Recipe, record: Recorder) -> None:
    """Record what the evaluation reads, and check that its rows are those that were indexed."""
    rows, settings = recipe.evaluation.rows, recipe.training.settings
    record.reaches(own_code(settings, Path.cwd()))
    record.set(
        recipe=recipe.digest("evaluation"),
        evaluation=recipe.evaluation.settings.model_dump(mode="json"),
        seed=recipe.evaluation.settings.seed,
    )
    record.reads_rows(args.data, {"": rows.resolved}, pieces_of_recipe(rows, recipe))
    record.reads(args.split, "recipe")
    record.reads(args.model, "model")
    record.reads(args.history, "history")
    check_pieces(args.data, rows.pieces, record.settings.verify_shards, recipe.rows_per_shard)


if __name__ == "__main__":
    run(main)
