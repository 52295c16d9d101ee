"""The command-line argument that names the results of a dataset."""

import argparse


def add_results_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``results``, for a program that looks at all results of a dataset."""
    parser.add_argument(
        "results",
        nargs="?",
        help="folder of a dataset, results/<dataset> (default: the only one below results)",
    )
