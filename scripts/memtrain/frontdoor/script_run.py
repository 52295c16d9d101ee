"""Runs a script of the workflow in this process, as if it had been called by itself."""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from memtrain.workflow.workflow_files import script_file


def run_script(name: str, arguments: Sequence[str], program: str) -> NoReturn:
    """Run a script, and end with its exit status.

    Args:
        name: its name, without its suffix.
        arguments: its command line.
        program: what its help and its messages call it.

    Raises:
        SystemExit: always.
    """
    path = script_file(name)
    module = ModuleType("__main__")
    module.__file__ = str(path)
    # A script's parser finds the script's docstring by the name of its module.
    sys.modules["__main__"] = module
    sys.argv = [program, *arguments]
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    raise SystemExit(0)
