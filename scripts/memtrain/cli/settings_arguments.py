"""Command-line arguments that are whole sections of the configuration, as YAML or JSON."""

import argparse

from memtrain.config.parsing import parse_settings_text
from memtrain.config.running import LoadingSettings, RunningSettings
from memtrain.config.tracking import TrackingSettings
from memtrain.core.errors import UserError


def add_loading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--loading``, for a script that reads rows."""
    parser.add_argument(
        "--loading",
        default="{}",
        help="how rows are read, as under `loading:` in config.yaml: '{reader: auto | mmap | "
        "pread | direct, mapped_files: 1000, memory_budget: 512MiB, stage: never | auto | "
        "always}'. No result depends on it",
    )


def loading_settings(arguments: argparse.Namespace) -> LoadingSettings:
    """Return the settings of ``--loading``.

    Raises:
        UserError: with everything that is wrong with them.
    """
    return parse_settings_text(LoadingSettings, arguments.loading)


def add_running_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--running``, for a script that trains."""
    parser.add_argument(
        "--running",
        default="{}",
        help="how the training is run, as under `running:` in config.yaml: '{slots_per_call: auto "
        "| N, checkpoint: {minutes: M} | {steps: N}}'. No result depends on it; `fork_server` is "
        "for the workflow alone",
    )


def running_settings(arguments: argparse.Namespace) -> RunningSettings:
    """Return the settings of ``--running``.

    Raises:
        UserError: with everything that is wrong with them.
    """
    return parse_settings_text(RunningSettings, arguments.running)


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--tracking`` and ``--tracking-folder``, for a script that trains."""
    group = parser.add_argument_group("trackers that mirror the training")
    group.add_argument(
        "--tracking",
        default="{}",
        help="which ones, as under `tracking:` in config.yaml: '{tensorboard: {folder: PATH}, "
        "mlflow: {uri: ADDRESS, experiment: NAME}}'. They need --state and --tracking-folder. No "
        "result depends on them",
    )
    group.add_argument("--tracking-folder", help="folder for notes on what they were sent")


def tracking_settings(arguments: argparse.Namespace) -> TrackingSettings:
    """Return the settings of ``--tracking``.

    Raises:
        UserError: with everything that is wrong with them, or if a folder is missing.
    """
    settings = parse_settings_text(TrackingSettings, arguments.tracking)
    for option in ("state", "tracking_folder") if settings.names else ():
        if getattr(arguments, option) is None:
            raise UserError(
                f"--tracking needs --{option.replace('_', '-')}: trackers are sent what lies there."
            )
    return settings
