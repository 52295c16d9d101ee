"""Records a module as a program of torch.export, and loads such a program."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch._dynamo.exc import UserError as ConstraintError

from memtrain.inference.exported_module import ExportedModule

_MOST = 2**31 - 1


@dataclass(frozen=True)
class RecordedProgram:
    """A module as a program.

    Attributes:
        content: the bytes of the ``.pt2`` file.
        longest: most elements of a row that it takes, where rows vary in length; None for any.
    """

    content: bytes
    longest: int | None


class FixedLengthError(Exception):
    """A module of rows that vary in length became a program for one length."""


def record(module: ExportedModule, inputs: tuple[torch.Tensor, ...]) -> RecordedProgram:
    """Return a module as a program for any number of rows, and for rows of any length.

    Args:
        module: the module.
        inputs: features; where rows vary in length, padded, and with the lengths.

    Raises:
        FixedLengthError: if the module takes one length only, in a program.
        Exception: what torch.export raises for what the module does.
    """
    with _quiet():
        program = _exported(module, inputs)
        program.example_inputs = None
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # It has paths of this machine.
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
    return RecordedProgram(buffer.getvalue(), _longest(program) if len(inputs) > 1 else None)


def load(program: bytes) -> torch.nn.Module:
    """Return what others will load: the module of a written program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(io.BytesIO(program)).module()


def _exported(
    module: ExportedModule, inputs: tuple[torch.Tensor, ...]
) -> torch.export.ExportedProgram:
    rows = torch.export.Dim("rows", min=1, max=_MOST)
    if len(inputs) == 1:
        shapes: dict = {"features": {0: rows}}
        return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
    longest = torch.export.Dim("longest", min=1, max=_MOST)
    try:
        shapes = {"features": {0: rows, 1: longest}, "lengths": {0: rows}}
        return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
    except ConstraintError:  # The model limits the length, as learned positions do.
        shapes = {"features": {0: rows, 1: torch.export.Dim.AUTO}, "lengths": {0: rows}}
        return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)


def _longest(program: torch.export.ExportedProgram) -> int | None:
    """Return the most elements of a row that a program takes; None for any number.

    Raises:
        FixedLengthError: if it takes one length only.
    """
    name = next(iter(program.graph_signature.user_inputs))
    (features,) = (node for node in program.graph.nodes if node.name == name)
    places = features.meta["val"].shape[1]
    # A size that became a number has no range.
    size = None if isinstance(places, int) else program.range_constraints.get(places.node.expr)
    if size is None:
        raise FixedLengthError
    return int(size.upper) if size.upper < _MOST else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch from telling what only its developers can use."""
    level = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch").setLevel(level)
