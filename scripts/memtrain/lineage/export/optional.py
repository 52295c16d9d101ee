"""Packages that only exports need, which are not installed with the workflow."""

import importlib
from types import ModuleType

from memtrain.core.errors import UserError


def require(module: str) -> ModuleType:
    """Return a module of an optional package.

    Raises:
        UserError: where the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{module.partition('.')[0]}: this command needs this package, which cannot be "
            f"imported ({error}). Install the extra `lineage`: `pip install -r "
            "envs/requirements-lineage.txt`, or `pip install 'memtrain[lineage]'`."
        ) from None
