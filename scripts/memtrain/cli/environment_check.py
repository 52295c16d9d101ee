"""Tells a user that a script runs under another Python than the one that has its packages.

A rule calls ``python``, and the PATH of the machine that runs it decides which one that is. Every
script calls ``startup.prepare_imports`` before its other imports, so that a wrong Python is named
here, before an import deep inside fails with a traceback. This file therefore imports nothing that
has to be installed, and Python 3.8 can parse it and the scripts.
"""

import os
import sys
from importlib.util import find_spec

REQUIRED_PACKAGES = ("numpy", "torch", "yaml", "pydantic", "pyarrow", "safetensors", "torchmetrics")

#: Environment variable that names the Python that the workflow itself runs under.
WORKFLOW_PYTHON = "MEMTRAIN_PYTHON"


def require_environment() -> None:
    """Leave with a message if this Python cannot run the scripts; warn if it is not the workflow's.

    Raises:
        SystemExit: with status 1 where this Python is too old or lacks a package.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - a PATH may lead to any Python
        _leave(f"Python {sys.version.split()[0]} is too old; 3.11 or newer is needed")
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        _leave(f"it has no package {', '.join(missing)}")
    expected = os.environ.get(WORKFLOW_PYTHON)
    if expected and not _is_same_environment(expected):
        # Not by logging, which is set up later: the next import may be the one that fails.
        sys.stderr.write(f"warning: {_this_python()}; the workflow runs under {expected}\n")


def _is_same_environment(expected: str) -> bool:
    # Links are not resolved: the python of every virtual environment links to the same interpreter.
    return os.path.dirname(expected) == os.path.dirname(sys.executable)


def _this_python() -> str:
    return f"this script runs under {sys.executable}"


def _leave(reason: str) -> None:
    expected = os.environ.get(WORKFLOW_PYTHON)
    remedy = (
        f"put {os.path.dirname(expected)} first on the PATH"
        if expected
        else "activate the environment (`make run` makes .venv and uses it)"
    )
    sys.exit(f"memtrain: error: {_this_python()}, and {reason}; {remedy}")
