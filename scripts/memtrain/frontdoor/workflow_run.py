"""Runs the workflow in the present folder, with Snakemake and the Snakefile of this memtrain."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from memtrain.config.results import CONFIGURATION_FILE
from memtrain.core.errors import UserError
from memtrain.workflow.workflow_files import workflow_folder

#: Options that say how much may run at a time, or where this is said.
_AMOUNTS = re.compile(r"--(cores?|jobs|(workflow-)?profile)(=.*)?|-[cj]\d*")

#: Options after which no configuration of the present folder is read.
_ELSEWHERE = re.compile(r"--(configfiles?|directory|help|version)(=.*)?|-[dhv].*")


def snakemake_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs the workflow.

    Args:
        arguments: what the user adds; without a number of cores or jobs, all cores are used.
    """
    amount = [] if any(map(_AMOUNTS.fullmatch, arguments)) else ["--cores", "all"]
    snakefile = str(workflow_folder() / "Snakefile")
    return [sys.executable, "-m", "snakemake", "--snakefile", snakefile, *amount, *arguments]


def run_workflow(arguments: Sequence[str]) -> NoReturn:
    """Become Snakemake. The programs of this Python come first for everything that it runs.

    Raises:
        UserError: where the present folder has no configuration.
    """
    if not Path(CONFIGURATION_FILE).exists() and not any(map(_ELSEWHERE.fullmatch, arguments)):
        raise UserError(
            "config.yaml: there is none in this folder. Write one with `memtrain init FILE "
            "--target COLUMN`, go to the folder that has one, or name another one with "
            "--configfile."
        )
    command = snakemake_command(arguments)
    shown = " ".join(["snakemake", *command[3:]])
    sys.stderr.write(f"{shown}\n")
    sys.stderr.flush()
    folder = os.path.dirname(sys.executable)
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PATH")]))
    os.execve(command[0], command, os.environ | {"PATH": path})
