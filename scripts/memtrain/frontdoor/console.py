"""Where the installed command ``memtrain`` begins.

It imports nothing that has to be installed, so that a missing package is told in a sentence.
"""

import sys
from importlib.util import find_spec
from typing import NoReturn

from memtrain.cli.environment_check import REQUIRED_PACKAGES
from memtrain.frontdoor.script_run import run_script


def main() -> NoReturn:
    """Run the command.

    Raises:
        SystemExit: with its exit status; with status 1 where a package is missing.
    """
    missing = [name for name in (*REQUIRED_PACKAGES, "snakemake") if find_spec(name) is None]
    if missing:
        sys.exit(
            f"memtrain: error: {sys.executable} has no package {', '.join(missing)}; install what "
            "the workflow needs: pip install 'memtrain[workflow]'"
        )
    run_script("memtrain_command", sys.argv[1:], "memtrain")
