"""The command-line arguments that say where and how a script records its run."""

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

from memtrain.cli.number_arguments import whole_number
from memtrain.config.lineage import LineageSettings
from memtrain.config.parsing import parse_settings_text, settings_text


@dataclass(frozen=True)
class RecordingOptions:
    """Where and how a run is recorded.

    Attributes:
        folder: the folder of the records; None to record nothing.
        settings: the section `lineage` of the configuration.
        workflow_run: the id of the run of the workflow that the script is part of; None for a
            script that was started by hand.
        attempt: 1 for the first try of a job, 2 for the second, and so on.
    """

    folder: Path | None
    settings: LineageSettings
    workflow_run: str | None = None
    attempt: int = 1


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--records``, ``--lineage``, ``--workflow-run`` and ``--attempt``.

    The rules pass all of them. No result depends on any.
    """
    group = parser.add_argument_group("the record of this run")
    group.add_argument("--records", help="the folder to keep the record in (default: no record)")
    group.add_argument(
        "--lineage", default="{}", help="what to record, as under `lineage:` in config.yaml"
    )
    group.add_argument(
        "--workflow-run", metavar="ID", help="the run of the workflow that this run is part of"
    )
    group.add_argument(
        "--attempt",
        type=whole_number(1),
        default=1,
        help="which try of the job this is (default: 1)",
    )


def recording_options(arguments: argparse.Namespace) -> RecordingOptions:
    """Return the options that the arguments of ``add_recording_arguments`` hold.

    Raises:
        UserError: with everything that is wrong with the settings.
    """
    return RecordingOptions(
        folder=Path(arguments.records) if arguments.records else None,
        settings=parse_settings_text(LineageSettings, arguments.lineage),
        workflow_run=arguments.workflow_run,
        attempt=arguments.attempt,
    )


def recording_command_line(options: RecordingOptions) -> str:
    """Return the arguments that ``recording_options`` reads these options from.

    They are quoted for a shell.
    """
    words = ["--lineage", settings_text(options.settings)]
    if options.folder is not None:
        words += ["--records", str(options.folder)]
    if options.workflow_run is not None:
        words += ["--workflow-run", options.workflow_run]
    return shlex.join([*words, "--attempt", str(options.attempt)])
