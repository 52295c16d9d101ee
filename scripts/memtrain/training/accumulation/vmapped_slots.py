"""Several slots in one call, where that gives the same bits as one by one.

With small networks, most of the time goes into calls and not into arithmetic. Slots are therefore
computed together: ``torch.func.vmap`` over ``torch.func.grad``, recorded once as a list of tensor
operations (``make_fx``) and then played back.

This must not change a bit, or it is not done. The rows of the first full window are shuffled again
and again and computed both ways, and slots are computed together only in numbers that gave the same
bits every time. One window would not be enough: where the kernels of the two ways differ (as they
do for rows left over from tiles of four), most slots still agree by chance.
"""

import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from memtrain.training.accumulation.slot_loss import Batch, SlotLoss, WindowSlots, rows_of
from memtrain.training.accumulation.slot_vectors import NO_GRADIENT

#: How many windows are computed both ways before slots are computed together: the second number,
#: divided by the square of the number of slots in a call, but no fewer than the first. Calls of few
#: slots need more windows, because fewer slots differ less often. Where kernels differed at all,
#: windows of 2, 4 and 8 slots agreed in up to 92 %, 70 % and 45 % of all cases (measured). At these
#: rates, all of 256, 64 and 32 windows agree in less than one of a billion trainings.
_WINDOWS_COMPARED = 32
_WINDOWS_TIMES_SQUARED_SLOTS = 1024

#: Where the first sentence of a message ends.
_SENTENCE_END = re.compile(r"[.!?] (?=[A-Z])")

#: Standard deviation of the noise that is added to the parameters before a comparison.
_NOISE = 0.02


@dataclass(frozen=True)
class SlotGradient:
    """The gradient and the loss of one slot.

    Attributes:
        vector: flat gradients of all trained parameters, (n,); see ``SlotGradients``.
        took_part: whether each trained parameter took part in the loss, bool (parameters,), on the
            CPU. One that did not has no gradient; its numbers in the vector are ``NO_GRADIENT``.
        loss: summed loss of the slot, a scalar.
    """

    vector: torch.Tensor
    took_part: torch.Tensor
    loss: torch.Tensor


@dataclass(frozen=True)
class StackedGradients:
    """The gradients and the losses of several slots.

    Attributes:
        vectors: one vector per slot, (slots, n).
        took_part: whether each trained parameter took part in the loss of every slot, bool
            (parameters,), on the CPU. It is the same in all slots.
        losses: summed loss of every slot, (slots,).
    """

    vectors: torch.Tensor
    took_part: torch.Tensor
    losses: torch.Tensor

    def equal(self, gradients: list[SlotGradient]) -> bool:
        """Return whether slots computed one by one gave the same bits."""
        vectors = torch.stack([gradient.vector for gradient in gradients])
        losses = torch.stack([gradient.loss for gradient in gradients])
        return (
            all(torch.equal(self.took_part, gradient.took_part) for gradient in gradients)
            and torch.equal(self.vectors, vectors)
            and torch.equal(self.losses, losses)
        )


class VmappedSlots:
    """Computes several full slots in one call.

    A slot is full if its micro-batch has ``batch_size`` rows, so that all micro-batches of a call
    have the same shape.

    Args:
        slot_loss: loss of a slot, with a model that has no buffers.
        dtype: dtype of the vectors.
    """

    def __init__(self, slot_loss: SlotLoss, dtype: torch.dtype):
        self._loss = slot_loss
        self._dtype = dtype
        self._parameters = {
            name: part.detach() for name, part in slot_loss.named_parameters() if part.requires_grad
        }
        self._took_part = torch.ones(len(self._parameters), dtype=torch.bool)
        self._recorded: dict[int, Callable] = {}

    @property
    def sizes(self) -> set[int]:
        """Numbers of slots that may be computed in one call."""
        return set(self._recorded)

    def __call__(self, run: range, window: WindowSlots) -> StackedGradients:
        """Return the gradients of a run of full slots, whose length is one of ``sizes``."""
        play_back = self._recorded[len(run)]
        with torch.no_grad():
            vectors, losses = play_back(
                self._parameters, _stack(run, window.batches), window.divisor
            )
        return StackedGradients(vectors, self._took_part, losses)

    def try_sizes(
        self,
        sizes: list[int],
        run: range,
        window: WindowSlots,
        compute_alone: Callable[[int, WindowSlots], SlotGradient],
    ) -> str | None:
        """Record the largest number of slots that gives the bits of the slots computed alone.

        ``torch.func.grad`` gives zeros to parameters that took no part. Which ones took part is
        therefore taken from a slot that is computed alone, and must be so in all others.

        Args:
            sizes: numbers of slots to try, the largest first.
            run: full slots.
            window: window of these slots.
            compute_alone: computes one slot of a window.

        Returns:
            Why no number of slots works; None if one does.
        """
        self._took_part = compute_alone(run.start, window).took_part
        for size in sizes:
            part = run[:size]
            try:
                self._recorded[size] = self._record(part, window)
                agrees = all(
                    self(part, varied).equal([compute_alone(slot, varied) for slot in part])
                    for varied in self._variations(run, window, _windows_compared(size))
                )
            except Exception as error:  # vmap may fail on a model in any way
                self._recorded.clear()
                return _describe(error, self._loss.model)
            if agrees:
                return None
            del self._recorded[size]
        return "more slots give other bits"

    def _variations(self, run: range, window: WindowSlots, count: int) -> Iterator[WindowSlots]:
        """Yield windows with shuffled rows; the parameters carry noise while each is computed.

        Without noise, parameters that start as zeros would hide their influence on the gradients of
        others.
        """
        generator = torch.Generator().manual_seed(0)
        before = {name: part.clone() for name, part in self._parameters.items()}
        try:
            for _ in range(count):
                for name, part in self._parameters.items():
                    noise = torch.randn(part.shape, generator=generator)
                    part.copy_(before[name] + _NOISE * noise.to(part))
                yield replace(window, batches=_shuffle_rows(run, window.batches, generator))
        finally:
            for name, part in self._parameters.items():
                part.copy_(before[name])

    def _record(self, run: range, window: WindowSlots) -> Callable:
        arguments = (self._parameters, _stack(run, window.batches), window.divisor)
        with warnings.catch_warnings():
            # PyTorch warns of operations that are slow under vmap. Here only the total time counts.
            warnings.simplefilter("ignore")
            # make_fx inspects the parameters of the function, and would count `self` among them.
            return make_fx(lambda *given: self._compute_stacked(*given))(*arguments)

    def _compute_stacked(
        self, parameters: dict[str, torch.Tensor], stacked: Batch, divisor: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return vectors and losses, as a tuple since ``make_fx`` records no dataclasses."""

        def slot_loss(
            parameters: dict[str, torch.Tensor], batch: Batch
        ) -> tuple[torch.Tensor, torch.Tensor]:
            summed = functional_call(self._loss, parameters, (batch,))
            return summed / divisor, summed.detach()

        all_slots = vmap(grad(slot_loss, has_aux=True), in_dims=(None, 0), randomness="error")
        gradients, losses = all_slots(parameters, stacked)
        parts = [
            (part if took_part else torch.full_like(part, NO_GRADIENT))
            .reshape(len(losses), -1)
            .to(self._dtype)
            for part, took_part in zip(gradients.values(), self._took_part.tolist(), strict=True)
        ]
        return torch.cat(parts, dim=1), losses


def _windows_compared(size: int) -> int:
    return max(_WINDOWS_COMPARED, _WINDOWS_TIMES_SQUARED_SLOTS // size**2)


def _describe(error: Exception, model: nn.Module) -> str:
    """Return why slots cannot be taken together, in one sentence that names the cause."""
    text = str(error) or type(error).__name__
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    cause = "model" if any(frame.f_locals.get("self") is model for frame in frames) else "loss"
    if "randomness" in text:
        return f"the {cause} draws random numbers, and every slot has its own"
    sentence = _SENTENCE_END.split(" ".join(text.split()), maxsplit=1)[0].removesuffix(".")
    return f"the {cause} does not allow more slots: {sentence}"


def _stack(run: range, batches: Mapping[int, Batch]) -> Batch:
    return {name: torch.stack([batches[slot][name] for slot in run]) for name in batches[run.start]}


def _shuffle_rows(
    run: range, batches: Mapping[int, Batch], generator: torch.Generator
) -> dict[int, Batch]:
    """Return the micro-batches of a run with all their rows in random order."""
    rows = rows_of(batches[run.start])
    order = torch.randperm(rows * len(run), generator=generator)
    shuffled = {
        name: torch.cat([batches[slot][name] for slot in run])[order.to(value.device)]
        for name, value in batches[run.start].items()
    }
    # Copies, since the last bits of a product can depend on where its factors lie in memory.
    return {
        slot: {
            name: value[number * rows : (number + 1) * rows].clone()
            for name, value in shuffled.items()
        }
        for number, slot in enumerate(run)
    }
