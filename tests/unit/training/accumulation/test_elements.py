"""Windows whose loss is divided by the elements of rows of varying length."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from memtrain.components.padded_batch import call_model, elements_there, target_mask
from memtrain.training.accumulation.accumulator import Window
from tests.unit.training.accumulation.accumulators import (
    ddp,
    flat_gradient,
    never,
    tree,
)

WORDS, CLASSES = 7, 4


class Tagger(nn.Module):
    """Tags every element by itself and by the mean of its row, which needs the mask."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 5)
        self.outputs = nn.Linear(10, CLASSES)

    def forward(self, features, lengths, mask):
        vectors = self.embedding(features) * mask[..., None]
        means = vectors.sum(1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
        return self.outputs(torch.cat([vectors, means.expand_as(vectors)], -1))


class TagLoss(nn.Module):
    """The cross entropy of all elements, in the form that accumulators take."""

    weighs_rows = False

    def __init__(self):
        super().__init__()
        self.summed = nn.CrossEntropyLoss(reduction="sum")

    def forward(self, model, batch):
        outputs, target = elements_there(
            call_model(model, batch), batch["target"], target_mask(batch)
        )
        return self.summed(outputs, target)


def padded(rows):
    """Return rows of (features, target) as a batch."""
    lengths = torch.tensor([len(features) for features, _ in rows])
    longest = max(1, int(lengths.max()))
    batch = {"features": torch.zeros(len(rows), longest, dtype=torch.int64)}
    batch["target"] = batch["features"].clone()
    for number, (features, target) in enumerate(rows):
        batch["features"][number, : len(features)] = features
        batch["target"][number, : len(target)] = target
    mask = torch.arange(longest) < lengths[:, None]
    for field in ("features", "target"):
        batch |= {f"{field}_lengths": lengths, f"{field}_mask": mask}
    return batch


def rows_of(lengths):
    return [
        (torch.randint(WORDS, (length,)), torch.randint(CLASSES, (length,))) for length in lengths
    ]


def window_of(rows, batch_size, slots):
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    sizes = [len(part) for part in parts] + [0] * (slots - len(parts))
    elements = sum(len(features) for features, _ in rows)
    return Window(0, sizes, [padded(part) for part in parts], elements)


@pytest.mark.slow
@pytest.mark.parametrize("accumulator", [tree, ddp])
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any),
    batch_size=st.integers(1, 8),
    more_slots=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_the_gradient_is_that_of_all_rows_as_one_batch(
    accumulator, lengths, batch_size, more_slots, seed
):
    """However the rows are cut into micro-batches, and however far each of these is padded."""
    torch.manual_seed(seed)
    model = Tagger().double()
    plain = copy.deepcopy(model)
    rows = rows_of(lengths)
    slots = -(-len(rows) // batch_size) + more_slots
    found = accumulator(model, slots, batch_size, TagLoss).accumulate(
        window_of(rows, batch_size, slots), 1.0, never
    )

    # Row by row, without any padding: the sum of the losses of all elements, and their number.
    total = sum(
        nn.functional.cross_entropy(
            plain(
                features[None],
                torch.tensor([len(features)]),
                torch.ones(1, len(features), dtype=torch.bool),
            )[0],
            target,
            reduction="sum",
        )
        for features, target in rows
        if len(features)
    )
    expected = total / sum(lengths)
    expected.backward()
    assert found.loss == pytest.approx(expected.item(), rel=1e-12)
    for part, other in zip(model.parameters(), plain.parameters(), strict=True):
        scale = other.grad.abs().max().clamp(min=1e-3)
        assert (part.grad - other.grad).abs().max() <= 1e-12 * scale


def test_a_scaled_loss_gives_the_same_step():
    rows = rows_of([3, 0, 5, 2, 9, 1])
    gradients = []
    for scale in (1.0, 2.0**12):
        torch.manual_seed(0)
        model = Tagger()
        tree(model, 4, 2, TagLoss).accumulate(window_of(rows, 2, 4), scale, never)
        gradients.append(flat_gradient(model) / scale)
    assert torch.equal(*gradients)


def test_slots_of_different_shapes_are_computed_one_by_one():
    """A first window whose rows have one length is no promise for those that follow."""
    torch.manual_seed(0)
    together, alone = Tagger(), Tagger()
    alone.load_state_dict(together.state_dict())
    accumulators = [
        tree(model, 4, 2, TagLoss, slots_per_call=calls)
        for model, calls in ((together, 4), (alone, 1))
    ]
    for lengths in ([3] * 8, [3, 4, 1, 2, 7, 1, 1, 1]):
        window = window_of(rows_of(lengths), 2, 4)
        for accumulator in accumulators:
            accumulator.accumulate(window, 1.0, never)
        assert torch.equal(flat_gradient(together), flat_gradient(alone))
