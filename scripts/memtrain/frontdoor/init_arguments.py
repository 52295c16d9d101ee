"""The arguments of `memtrain init`, apart from its work, which needs Arrow and the settings."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    parser.add_argument(
        "path",
        nargs="+",
        help="the table: a file, a folder of files, or a pattern in quotes; of features and target "
        "in two files, both; or arrays that are read where they lie, as many files as there are",
    )
    parser.add_argument(
        "--target", metavar="NAME", help="the column or field that a model shall predict"
    )
    parser.add_argument(
        "--task",
        choices=("regression", "classification"),
        help="whether the target is a number or a class; unless given, what stands in it decides",
    )
    parser.add_argument(
        "--csv",
        metavar="SETTINGS",
        help="how text files are written, as under `dataset: import: csv:`, such as "
        "'{delimiter: \";\"}'",
    )
    parser.add_argument(
        "--in-place",
        action=argparse.BooleanOptionalAction,
        help="read arrays (.npy, .safetensors, Arrow) where they lie, without a copy; unless "
        "given, arrays are where they have more than 1 GiB or more than two axes, where more "
        "than two files are named, and where no import takes them",
    )
    parser.add_argument(
        "--tokens",
        action="store_true",
        help="the files are a stream of tokens, or the bytes of a text, of which a model learns "
        "what comes next; unless given, a file of whole numbers one behind the other is",
    )
    parser.add_argument(
        "--dtype",
        metavar="TYPE",
        help="the type of the tokens in raw files, which do not say it, such as uint16",
    )
    parser.add_argument("--force", action="store_true", help="replace the config.yaml that is here")
