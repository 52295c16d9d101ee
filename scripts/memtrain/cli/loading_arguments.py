"""The command-line arguments of scripts that move rows."""

import argparse

from memtrain.config.parsing import parse_settings_text
from memtrain.config.training import LoadingSettings


def add_loading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--loading``."""
    parser.add_argument(
        "--loading",
        default="{}",
        help="how rows are moved, as under `loading:` in config.yaml: '{reader: auto | mmap | "
        "pread | direct, memory_budget: 512MiB, stage: never | auto | always}'. No result depends "
        "on it",
    )


def loading_of(arguments: argparse.Namespace) -> LoadingSettings:
    """Return what was asked for.

    Raises:
        UserError: with everything that is wrong with it.
    """
    return parse_settings_text(LoadingSettings, arguments.loading)
