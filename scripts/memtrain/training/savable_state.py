"""What a checkpoint can hold: tensors, numbers, texts, and collections of them.

A checkpoint is read without running code that it contains, so that other objects would be written,
and could never be read.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

import torch

from memtrain.core.errors import UserError
from memtrain.core.wording import listed

_SCALARS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_MAPPINGS = (dict, OrderedDict, Counter)
_COLLECTIONS = (list, tuple, set, torch.Size)

#: Most values that a message names.
_MOST_VALUES = 5


def check_savable(where: str, state: Any) -> None:
    """Check that a checkpoint can hold a state.

    Args:
        where: key of the optimizer or of the schedule that has the state, for error messages.
        state: the state.

    Raises:
        UserError: with the values that it cannot hold, and where they stand.
    """
    others = sorted(set(_unsavable(state, "")))
    if others:
        raise UserError(
            f"{where}: its state holds {listed(others, _MOST_VALUES)}, which no checkpoint can "
            "hold. Keep tensors, numbers and texts, lists and dicts of them, and turn numbers of "
            "NumPy into Python's with float() or int()."
        )


def _unsavable(value: Any, path: str) -> Iterator[str]:
    """Yield where values that a checkpoint cannot hold stand, with their types."""
    if type(value) in _MAPPINGS:
        for key, part in value.items():
            yield from _unsavable(key, f"a key of {path or 'it'}")
            yield from _unsavable(part, f"{path}.{key}" if path else str(key))
    elif type(value) in _COLLECTIONS:
        for number, part in enumerate(value):
            yield from _unsavable(part, f"{path}[{number}]")
    elif type(value) not in _SCALARS and not isinstance(value, torch.Tensor):
        yield f"{path or 'a value'} ({type(value).__module__}.{type(value).__qualname__})"
