"""The command-line arguments of how a training is run."""

import argparse

from memtrain.config.parsing import parse_settings_text
from memtrain.config.training import RunningSettings


def add_running_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--running``."""
    parser.add_argument(
        "--running",
        default="{}",
        help="how the training is run, as under `running:` in config.yaml: '{slots_per_call: auto "
        "| N, checkpoint: {minutes: M} | {steps: N}}'. No result depends on it",
    )


def running_of(arguments: argparse.Namespace) -> RunningSettings:
    """Return what was asked for.

    Raises:
        UserError: with everything that is wrong with it.
    """
    return parse_settings_text(RunningSettings, arguments.running)
