"""Large gradients, which are added in memory that is used again, beside sums of whole vectors."""

import pytest
import torch
from torch import nn

from memtrain.training.accumulation.accumulator import Window
from memtrain.training.accumulation.slot_loss import WindowSlots
from memtrain.training.accumulation.summation_tree import tree_sum
from tests.unit.training.accumulation.accumulators import (
    ddp,
    flat_gradient,
    never,
    slot_gradients,
)


class SomeUnused(nn.Module):
    """A model with large tensors, one of which takes part in some slots only."""

    def __init__(self, dtype):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 1)).to(dtype)
        self.extra = nn.Parameter(torch.randn(64, 256))
        self.register_buffer("seen", torch.zeros(300, dtype=torch.float32))

    def forward(self, features):
        outputs = self.layers(features.to(self.layers[0].weight.dtype)).float()
        if self.training:
            self.seen += features.mean()
        return outputs + (features @ self.extra).sum() if features[0, 0] > 0 else outputs


def whole_vector(model, batch, divisor, share):
    """Return the gradient of a slot as plain autograd gives it, with the changes of the buffer."""
    before = model.seen.clone()
    loss = ((model(batch["features"]) - batch["target"]) ** 2).sum() / divisor
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    parts = [
        torch.full_like(part, -0.0).float().reshape(-1)
        if gradient is None
        else gradient.float().reshape(-1)
        for part, gradient in zip(parameters, gradients, strict=True)
    ]
    parts.append((model.seen - before) * share)
    model.seen.copy_(before)
    return torch.cat(parts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "filled", [range(8), range(7), range(1), (0, 3, 4, 6), (1, 2, 5), (7,)], ids=str
)
def test_sums_are_those_of_whole_vectors_bit_by_bit(dtype, filled):
    torch.manual_seed(0)
    slots = 8
    model = SomeUnused(dtype)
    gradients = slot_gradients(model, slots, batch_size=4)
    for step in range(3):
        batches = {
            slot: {"features": torch.randn(4, 64), "target": torch.randn(4, 1)} for slot in filled
        }
        rows = 4 * len(batches)
        divisor = torch.tensor(float(rows), dtype=torch.float64)
        expected = tree_sum(
            [
                whole_vector(model, batches[slot], divisor, 4 / rows) if slot in batches else None
                for slot in range(slots)
            ]
        )
        summed = gradients.sum_run(range(slots), WindowSlots(step, batches, rows))
        found = summed.vector
        assert torch.equal(found.view(torch.int32), expected.view(torch.int32))


def large_window(step, columns=64):
    """Return a window of eight slots of four rows."""
    batches = {
        slot: {"features": torch.randn(4, columns), "target": torch.randn(4, 256)}
        for slot in range(8)
    }
    return WindowSlots(step, batches, 32)


def test_the_sum_of_a_window_stays_while_the_next_one_is_computed():
    torch.manual_seed(0)
    gradients = slot_gradients(nn.Linear(64, 256), 8, 4, slots_per_call=1)
    first = gradients.sum_run(range(8), large_window(0)).vector
    before = first.clone()
    later = [gradients.sum_run(range(8), large_window(step)).vector for step in range(1, 4)]
    assert torch.equal(first, before)
    assert len({one.data_ptr() for one in (first, *later)}) == 4


class ReturnsItsMask(torch.autograd.Function):
    """A sum whose gradient is a tensor that lives on."""

    @staticmethod
    def forward(ctx, weight, mask):
        ctx.mask = mask
        return (weight * mask).sum()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.mask, None


class SharesMemory(nn.Module):
    """A model whose gradients are one tensor for two parameters, and a tensor of its own."""

    def __init__(self):
        super().__init__()
        self.one, self.two = (nn.Parameter(torch.randn(64, 256)) for _ in range(2))
        self.masked = nn.Parameter(torch.randn(64, 256))
        self.mask = torch.rand(64, 256)

    def forward(self, features):
        return features @ (self.one + self.two) + ReturnsItsMask.apply(self.masked, self.mask)


class StacksItsWeights(nn.Module):
    """A model whose gradients are views of one memory, which autograd gives to two parameters."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Parameter(torch.randn(64, 256)), nn.Parameter(torch.randn(64 * 256))

    def forward(self, features):
        return features @ torch.stack([self.one, self.two.view(64, 256)]).sum(0)


def plain_gradients(model, window):
    """Return the gradients that autograd gives, added in the tree."""
    slots = []
    for batch in window.batches.values():
        loss = ((model(batch["features"]) - batch["target"]) ** 2).sum() / window.divisor
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        slots.append(torch.cat([gradient.reshape(-1) for gradient in gradients]).clone())
    return tree_sum(slots)


def test_memory_that_gradients_share_is_not_added_to():
    torch.manual_seed(0)
    model = SharesMemory()
    mask, window = model.mask.clone(), large_window(0)
    expected = plain_gradients(model, window)
    gradients = slot_gradients(model, 8, 4, slots_per_call=1)
    summed = gradients.sum_run(range(8), window)
    assert torch.equal(summed.vector, expected)
    assert torch.equal(model.mask, mask)


@pytest.mark.parametrize("slots", [8, 7, 1])
def test_gradients_that_are_views_of_one_memory_are_added_once(slots):
    torch.manual_seed(0)
    model, window = StacksItsWeights(), large_window(0)
    batches = {slot: window.batches[slot] for slot in range(slots)}
    window = WindowSlots(0, batches, 4 * slots)
    gradients = slot_gradients(model, slots, 4, slots_per_call=1)
    found = gradients.sum_run(range(slots), window).vector
    assert torch.equal(found, plain_gradients(model, window))


def test_fast_sums_of_views_of_one_memory_are_right():
    torch.manual_seed(0)
    model, window = StacksItsWeights(), large_window(0)
    batches = list(window.batches.values())
    ddp(model, 8, 4).accumulate(Window(0, [4] * 8, batches), 1.0, never)
    assert torch.allclose(flat_gradient(model), plain_gradients(model, window), rtol=1e-4)


def test_hooks_of_added_gradients_change_nothing():
    torch.manual_seed(0)
    model, window = nn.Linear(64, 256), large_window(0)
    expected = plain_gradients(model, window)
    model.weight.register_post_accumulate_grad_hook(lambda weight: weight.grad.zero_())
    gradients = slot_gradients(model, 8, 4, slots_per_call=1)
    summed = gradients.sum_run(range(8), window)
    assert torch.equal(summed.vector, expected)
