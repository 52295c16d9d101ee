"""Says so when a script runs under another Python than the one that has its packages.

A rule calls ``python``, and which one that is depends on the PATH of the machine that runs it. The
first thing that a script imports is this package, so a wrong Python is named here, before an import
deep inside fails with a traceback.
"""

import os
import sys
from importlib.util import find_spec

REQUIRED_PACKAGES = ("numpy", "torch", "yaml", "pydantic", "pyarrow", "safetensors", "torchmetrics")

#: Set by the Snakefile: the Python that Snakemake itself runs under.
WORKFLOW_PYTHON = "MEMTRAIN_PYTHON"


def require_environment() -> None:
    """Exit with a message where packages are missing; warn where another Python was found.

    Raises:
        SystemExit: with status 1 where this Python lacks a package that the scripts need.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - reached by whatever `python` a PATH finds
        _leave(f"Python {sys.version.split()[0]} is too old; 3.11 or newer is needed")
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        _leave(f"it has no package {', '.join(missing)}")
    expected = os.environ.get(WORKFLOW_PYTHON)
    if expected and not _same_environment(expected):
        print(f"memtrain: note: {_which()}; the workflow runs under {expected}", file=sys.stderr)


def _same_environment(expected: str) -> bool:
    # Links are left alone: every virtual environment's python links to the same interpreter.
    return os.path.dirname(expected) == os.path.dirname(sys.executable)


def _which() -> str:
    return f"this script runs under {sys.executable}"


def _leave(reason: str) -> None:
    expected = os.environ.get(WORKFLOW_PYTHON)
    remedy = (
        f"put {os.path.dirname(expected)} first on the PATH"
        if expected
        else "activate the environment (`make run` makes .venv and uses it)"
    )
    sys.exit(f"memtrain: error: {_which()}, and {reason}; {remedy}")
