"""Packages that only exports need, and that are not installed with the workflow."""

import importlib
from types import ModuleType

from memtrain.core.errors import UserError


def require(module: str) -> ModuleType:
    """Return a module of an optional package.

    Raises:
        UserError: where it is not installed, with the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{module.partition('.')[0]}: this package is needed for it and cannot be imported "
            f"({error}). Install it by `pip install -r envs/requirements-lineage.txt`."
        ) from None
