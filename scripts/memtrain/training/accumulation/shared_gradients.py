"""Gradients that autograd has put into the same memory."""

from collections.abc import Iterable

from torch import nn


def separate_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every gradient memory of its own.

    Autograd may give views of one memory to several parameters. What it then adds to the gradient
    of one of them would be added to those of the others as well: with the gradients of
    ``torch.stack([one, two.view(3, 4)]).sum(0)``, each would get the sum of both.

    Args:
        parameters: parameters whose gradients may share memory; some may have none.
    """
    places = set()
    for parameter in parameters:
        if parameter.grad is None:
            continue
        place = parameter.grad.untyped_storage().data_ptr()
        if place in places:
            parameter.grad = parameter.grad.clone()
        places.add(place)
