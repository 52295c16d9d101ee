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
from memtrain.components.watched_reads import watched_reads
from memtrain.config.results import PREDICTIONS_FILE
from memtrain.data.made_from import versions_of_packages
from memtrain.evaluation.evaluator import Evaluator
from memtrain.evaluation.result import Evaluation
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.lineage.records.row_pieces import pieces_of_recipe
from memtrain.recipes.acceptances import ACCEPTED_FILE, read_acceptances
from memtrain.recipes.declared_files import check_files
from memtrain.recipes.integrity import check_pieces
from memtrain.recipes.model_file import check_origin
from memtrain.recipes.recipe import Recipe
from memtrain.system.digests import digest_of_file
from memtrain.training.history import read_history
from memtrain.workflow.result_code import own_code, own_modules, result_code_digest


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--data", required=True, help="the record file with the rows, .npy")
    parser.add_argument("--split", required=True, help="the recipe, from resolve_splits")
    parser.add_argument("--model", required=True, help="the trained weights, from train")
    parser.add_argument("--history", required=True, help="the history of the training, from train")
    parser.add_argument("--evaluation", required=True, help="the metrics to write, .json")
    parser.add_argument("--predictions", required=True, help="the predictions to write, .npy")
    parser.add_argument(
        "--accepted",
        default=ACCEPTED_FILE,
        help="list of the models that stand although other code made them (default: %(default)s, "
        "if it exists)",
    )
    add_loading_arguments(parser)
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Evaluate one split."""
    args = parse_arguments(argv)
    with recording(__file__, args, Path(args.split).parent.name) as record:
        recipe, history = Recipe.read(args.split), read_history(args.history)
        plan = recipe.needed_evaluation()
        check_model(args, recipe)
        # Model, transform and loss are built again, and read them again.
        check_files(recipe.training, recipe.training.settings.reads)
        modules = own_modules(recipe.training.settings, plan.settings)
        code = digest_of_code("evaluate.py", modules)
        describe_inputs(args, recipe, record)
        settings = recipe.training.settings
        own = [*settings.imports_of_parts, *plan.settings.metrics.values()]
        memory = gpu_memory_errors("Use a GPU with more memory that is free, or `device: cpu`.")
        with memory, watched_reads("training", settings.files, own):
            evaluator = Evaluator(recipe, args.data, args.model, loading_settings(args))
            evaluation = evaluator.run(args.predictions, history.steps)
        with_origin(args, recipe, evaluation, evaluator.device, code).write(args.evaluation)
        record.tell("metrics", **evaluation.metrics)
        record.wrote(args.evaluation, "evaluation")
        record.wrote_rows(args.predictions, plan.rows.resolved)
        metrics = ", ".join(evaluation.describe(metric) for metric in evaluation.labels)
        print(f"{evaluation.split}: {evaluation.rows:,} rows evaluated; {metrics}")
    return 0


def check_model(args: argparse.Namespace, recipe: Recipe) -> None:
    """Refuse a model that was not made by this recipe and by the code that lies here now."""
    check_origin(
        args.model,
        split=recipe.split,
        recipe=recipe.digest("training"),
        code=digest_of_code("train.py", own_modules(recipe.training.settings)),
        history=args.history,
        accepted=read_acceptances(args.accepted),
    )


def with_origin(
    args: argparse.Namespace, recipe: Recipe, evaluation: Evaluation, device: str, code: str
) -> Evaluation:
    """Return an evaluation that says what it was made from."""
    return evaluation.model_copy(
        update={
            "made_from": {
                "recipe": recipe.digest("evaluation"),
                "code": code,
                "model": digest_of_file(args.model),
            },
            "files": {PREDICTIONS_FILE: digest_of_file(args.predictions)},
            "packages": versions_of_packages(),
            "device": device,
        }
    )


def digest_of_code(script: str, modules: list[str]) -> str:
    """Return the digest of the code that a script runs with the user's own modules."""
    return result_code_digest(Path(__file__).with_name(script), modules, Path.cwd())


def describe_inputs(args: argparse.Namespace, recipe: Recipe, record: Recorder) -> None:
    """Record what the evaluation reads, and check that its rows are those that were indexed."""
    plan, settings = recipe.needed_evaluation(), recipe.training.settings
    rows = plan.rows
    record.reaches(own_code(settings, Path.cwd(), plan.settings))
    record.set(
        recipe=recipe.digest("evaluation"),
        evaluation=plan.settings.model_dump(mode="json"),
        seed=plan.settings.seed,
    )
    record.reads_rows(args.data, {"": rows.resolved}, pieces_of_recipe(rows, recipe))
    record.reads(args.split, "recipe")
    record.reads(args.model, "model")
    record.reads(args.history, "history")
    check_pieces(args.data, rows.pieces, record.settings.verify_shards, recipe.grid)


if __name__ == "__main__":
    run(main)
