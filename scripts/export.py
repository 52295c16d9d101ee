"""Export the trained model of a split as a program that needs PyTorch alone.

The program writes a folder with

  model.pt2     a program of torch.export: it takes features as they stand in the data file, with
                words and times encoded, for any number of rows, and gives predictions in the unit
                of the target or probabilities. Missing values are filled and features scaled
                inside. Of rows that vary in length it takes padded features and their lengths
  export.json   what the features and predictions are, and how columns become features
  README.md     a model card with the metadata of the Hugging Face Hub: data, settings, results with
                their errors, and what the model was not tested on

Before the files get their names, the written program is loaded again and compared with the model,
on rows of the data file where that is there, else on rows that are drawn from the statistics in the
recipe. The largest difference is printed, and stands in export.json; what is more than rounding is
refused. torch.export.load can run code that is hidden in such a file: load only what you trust.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.core.errors import UserError
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import recording
from memtrain.workflow.result_code import own_code

EXAMPLES = """\
examples:
  export.py results/flights/splits/mlp exported/mlp
  export.py results/flights/splits/mlp exported/mlp --license cc-by-4.0"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, epilog=EXAMPLES)
    parser.add_argument("split", metavar="SPLIT", help="the folder of the split, or a copy of it")
    parser.add_argument("output", metavar="FOLDER", help="the folder to write")
    parser.add_argument(
        "--data",
        help="the data file whose rows the program is tried on (default: that of the results that "
        "the split lies in)",
    )
    parser.add_argument("--license", help="the license of the model, for the card (default: none)")
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Export one model."""
    args = parse_arguments(argv)
    # Imported late: PyTorch comes with them, and the help is not to wait for it.
    from memtrain.evaluation.result import Evaluation
    from memtrain.inference.export import (
        CARD_FILE,
        DESCRIPTION_FILE,
        PROGRAM_FILE,
        export_model,
        write_export,
    )
    from memtrain.inference.loading import load_model
    from memtrain.inference.model_card import CardFacts, model_card
    from memtrain.inference.sample_features import sample_features
    from memtrain.system.digests import digest_of_file

    layout = SplitLayout(Path(args.split))
    results = ResultsLayout.of_split(Path(args.split))
    if args.records is None and results is not None and results.records.is_dir():
        args.records = str(results.records)
    with recording(__file__, args, Path(args.split).resolve().name) as record:
        model = load_model(args.split, "cpu")
        record.reaches(own_code(model.recipe.training.settings, Path.cwd()))
        record.reads(layout.recipe, "recipe")
        record.reads(layout.model, "model")
        digest = digest_of_file(layout.model)
        export = export_model(model, sample_features(model, data_file(args, results)), digest)
        evaluation = None
        if layout.evaluation.exists():
            evaluation = Evaluation.read(layout.evaluation)
            evaluation.check_recipe(model.recipe, layout.evaluation)
            record.reads(layout.evaluation, "evaluation")
        facts = CardFacts(
            model.recipe,
            evaluation,
            results.root.resolve().name if results else None,
            digest,
            export.comparison,
            args.license,
        )
        write_export(export, model_card(facts), args.output)
        for name in (PROGRAM_FILE, DESCRIPTION_FILE, CARD_FILE):
            record.wrote(Path(args.output, name), "export")
        print(
            f"{model.recipe.split}: exported to {args.output}; on {export.comparison.rows}, the "
            f"program and the model differ by at most {export.comparison.largest_difference:.3g} "
            f"(predictions are up to {export.comparison.largest_prediction:.6g})"
        )
    return 0


def data_file(args: argparse.Namespace, results: ResultsLayout | None) -> Path | None:
    """Return the data file whose rows the program is tried on; None where there is none.

    Raises:
        UserError: if the one that is named is not there.
    """
    if args.data is not None:
        if not Path(args.data).is_file():
            raise UserError(f"--data: {args.data} is not there. Name a data file, or leave it out.")
        return Path(args.data)
    return results.data if results is not None and results.data.is_file() else None


if __name__ == "__main__":
    run(main)
