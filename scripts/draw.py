"""Draw the figures of one split.

Nothing is evaluated again: the figures show what recipe, evaluation, predictions and history hold.
The program writes

  predictions.png     for a regression, predicted against true values; for a classification, the
                      confusion matrix
  errors.png          for a regression, the residuals (true minus predicted values); for a
                      classification, the calibration of its probabilities
  learning_curve.png  the loss of every step and of every validation, and the loss on the evaluation
                      rows

The predictions may be larger than memory; they are read a few MiB at a time.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.results import VALIDATION_FILE
from memtrain.data.made_from import write_statement
from memtrain.evaluation.predictions import Predictions
from memtrain.evaluation.result import Evaluation
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.recipes.recipe import Recipe
from memtrain.system.digests import digest_of_file
from memtrain.training.history import read_history
from memtrain.training.validation_history import read_validations
from memtrain.workflow.result_code import result_code_digest


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--split", required=True, help="the recipe, from resolve_splits")
    parser.add_argument("--evaluation", required=True, help="the metrics, from evaluate")
    parser.add_argument("--predictions", required=True, help="the predictions, from evaluate")
    parser.add_argument("--history", required=True, help="the history of the training, from train")
    parser.add_argument(
        "--validation",
        help="the validations, from train (default: validation.csv beside the history)",
    )
    parser.add_argument("--figures", required=True, help="the folder to draw in")
    parser.add_argument(
        "--made-from",
        help="the digests of what the figures were made from, and of the figures, to write, .json "
        "(default: none)",
    )
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Draw the figures of one split."""
    args = parse_arguments(argv)
    with recording(__file__, args, Path(args.split).parent.name) as record:
        recipe = Recipe.read(args.split)
        plan = recipe.needed_evaluation()
        evaluation = Evaluation.read(args.evaluation)
        evaluation.check_recipe(recipe, args.evaluation)
        predictions = Predictions(args.predictions)
        history = read_history(args.history)
        args.validation = args.validation or Path(args.history).with_name(VALIDATION_FILE)
        validations = read_validations(args.validation)
        record.reads(args.split, "recipe")
        record.reads(args.evaluation, "evaluation")
        record.reads_rows(args.predictions, {"": plan.rows.resolved})
        record.reads(args.history, "history")
        record.reads(args.validation, "validation")
        # Imported late, since matplotlib takes a while: a missing file is reported before.
        from memtrain.reporting.figures.split import draw_split

        code = result_code_digest(Path(__file__))
        figures = draw_split(
            args.figures,
            recipe=recipe,
            evaluation=evaluation,
            predictions=predictions,
            history=history,
            validations=validations,
        )
        for figure in figures:
            record.wrote(figure, "figure")
        if args.made_from:
            names = ("evaluation", "predictions", "history", "validation")
            digests = {name: digest_of_file(getattr(args, name)) for name in names}
            write_statement(args.made_from, {"code": code, **digests}, figures)
            record.wrote(args.made_from, "figure")
        print(f"{args.figures}: {len(figures)} figures")
    return 0


if __name__ == "__main__":
    run(main)
