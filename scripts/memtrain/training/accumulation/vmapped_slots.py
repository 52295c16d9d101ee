"""Several slots in one call, where that gives the same bits as one by one.

For small networks most of the time goes into the calls and not into the sums. So slots are computed
together, by ``torch.func.vmap`` over ``torch.func.grad``, recorded once as a list of tensor
operations (``make_fx``) and played back. That changes the work and not the bits, or it is not done:
the rows of the first full window, mixed again and again, are computed both ways, and slots are only
taken together in numbers that gave the same bits throughout. (Where the kernels of the two ways
differ at all, as they do for rows left over from tiles of four, most slots still agree by chance:
one window would not tell.)
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from memtrain.training.accumulation.slot_loss import Batch, SlotLoss, WindowSlots, rows_of

#: Windows that are computed both ways before their slots are taken together, at least; of few slots
#: in a call more, since fewer slots differ as a whole less often. Where kernels differed at all,
#: windows of 2, 4 and 8 slots agreed in up to 92 %, 70 % and 45 % of cases (measured): that they
#: agree in all of 256, 64 and 32 happens once in a hundred million trainings.
_CALLS_COMPARED, _OF_FEW_SLOTS = 32, 1024

#: The standard deviation of what parameters are varied by.
_NOISE = 0.02


class VmappedSlots:
    """Computes several full slots in one call.

    Attributes:
        sizes: numbers of slots that gave the same bits as one by one.
    """

    def __init__(self, slot_loss: SlotLoss, dtype: torch.dtype):
        self._loss, self._dtype = slot_loss, dtype
        self._parameters = {
            name: part.detach() for name, part in slot_loss.named_parameters() if part.requires_grad
        }
        self._recorded: dict[int, Callable] = {}

    @property
    def sizes(self) -> set[int]:
        """Numbers of slots that gave the same bits as one by one."""
        return set(self._recorded)

    def __call__(self, run: range, window: WindowSlots) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vectors (slots, n) and the summed losses (slots,) of a run of slots."""
        with torch.no_grad():
            return self._recorded[len(run)](
                self._parameters, _stacked(run, window.batches), window.divisor
            )

    def try_sizes(
        self,
        sizes: list[int],
        run: range,
        window: WindowSlots,
        alone: Callable[[int, WindowSlots], tuple[torch.Tensor, torch.Tensor]],
    ) -> str | None:
        """Record the largest number of slots that gives the bits of the slots alone.

        Args:
            sizes: to try, the largest first.
            run: of full slots.
            window: that they are of.
            alone: gives the vector of one slot, and its summed loss.

        Returns:
            Why there is none, or None where there is one.
        """
        for size in sizes:
            try:
                self._recorded[size] = self._record(run[:size], window)
                agrees = all(
                    self._agrees(run[:size], varied, alone)
                    for varied in self._variations(run, window, _calls_compared(size))
                )
            except Exception as error:  # whatever a model does that vmap does not allow
                self._recorded.clear()
                return _why(error)
            if agrees:
                return None
            del self._recorded[size]
        return "more give other bits"

    def _agrees(self, run: range, window: WindowSlots, alone: Callable) -> bool:
        vectors, summed = self(run, window)
        pairs = [alone(slot, window) for slot in run]
        return torch.equal(vectors, torch.stack([vector for vector, _ in pairs])) and torch.equal(
            summed, torch.stack([loss for _, loss in pairs])
        )

    def _variations(self, run: range, window: WindowSlots, count: int) -> Iterator[WindowSlots]:
        """Yield the window with its rows mixed, while the parameters are others than they are.

        Parameters that begin as zeros would hide what their gradients do to others.
        """
        generator = torch.Generator().manual_seed(0)
        before = {name: part.clone() for name, part in self._parameters.items()}
        try:
            for _ in range(count):
                for name, part in self._parameters.items():
                    noise = torch.randn(part.shape, generator=generator)
                    part.copy_(before[name] + _NOISE * noise.to(part))
                yield replace(window, batches=_mixed(run, window.batches, generator))
        finally:
            for name, part in self._parameters.items():
                part.copy_(before[name])

    def _record(self, run: range, window: WindowSlots) -> Callable:
        arguments = (self._parameters, _stacked(run, window.batches), window.divisor)
        with warnings.catch_warnings():
            # That some operation is slower under vmap; whether it pays is looked at as a whole.
            warnings.simplefilter("ignore")
            # It counts the parameters of what it records, and would count `self`.
            return make_fx(lambda *given: self._of_stacked(*given))(*arguments)

    def _of_stacked(
        self, parameters: dict, stacked: Batch, divisor: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        def of_one(parameters: dict, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
            summed = functional_call(self._loss, parameters, (batch,))
            return summed / divisor, summed.detach()

        of_all = vmap(grad(of_one, has_aux=True), in_dims=(None, 0), randomness="error")
        gradients, summed = of_all(parameters, stacked)
        rows = len(summed)
        return torch.cat(
            [part.reshape(rows, -1).to(self._dtype) for part in gradients.values()], dim=1
        ), summed


def _calls_compared(size: int) -> int:
    return max(_CALLS_COMPARED, _OF_FEW_SLOTS // size**2)


def _why(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "randomness" in text:
        return "the model draws random numbers, which every slot has of its own"
    return f"the model does not allow more: {text.splitlines()[0]}"


def _stacked(run: range, batches: Mapping[int, Batch]) -> Batch:
    return {name: torch.stack([batches[slot][name] for slot in run]) for name in batches[run.start]}


def _mixed(
    run: range, batches: Mapping[int, Batch], generator: torch.Generator
) -> dict[int, Batch]:
    """Return the batches of a run with the rows of all of them in random order."""
    rows = rows_of(batches[run.start])
    order = torch.randperm(rows * len(run), generator=generator)
    mixed = {
        name: torch.cat([batches[slot][name] for slot in run])[order.to(value.device)]
        for name, value in batches[run.start].items()
    }
    # Copies, since the last bits of a product can depend on where its factors lie in memory.
    return {
        slot: {
            name: value[number * rows : (number + 1) * rows].clone()
            for name, value in mixed.items()
        }
        for number, slot in enumerate(run)
    }
