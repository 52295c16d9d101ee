"""Windows of rows that vary in length, from their files to the gradient, in any number of parts."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from memtrain.components.padded_batch import call_model, elements_there, target_mask
from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Ragged
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.block_loader import BlockLoader
from memtrain.recipes.recipe import Sizes
from memtrain.training.performance import TrainingCost
from memtrain.training.window_elements import WindowElements
from memtrain.training.windows import WindowSource
from tests.unit.data.test_files_layout import write_stream
from tests.unit.training.accumulation.accumulators import flat_gradient, never, tree

ROWS, WORDS, BATCH, SLOTS = 43, 11, 3, 4
EPOCHS = 2


class NextWord(nn.Module):
    """Tells the next word from a word and from those before it; needs neither lengths nor mask."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 6)
        self.outputs = nn.Linear(6, WORDS)

    def forward(self, features):
        return self.outputs(self.words(features).cumsum(1))


class WordLoss(nn.Module):
    weighs_rows = False

    def forward(self, model, batch):
        outputs, target = elements_there(
            call_model(model, batch), batch["target"].long(), target_mask(batch)
        )
        return nn.functional.cross_entropy(outputs, target, reduction="sum")


@pytest.fixture
def documents(tmp_path):
    """Documents of words, of 0 to 8 words each, and the layout that has the next word as target."""
    generator = np.random.default_rng(3)
    lengths = generator.integers(0, 9, ROWS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    words = generator.integers(0, WORDS, offsets[-1]).astype(np.int64)
    stream = write_stream(tmp_path, words, [0, 50, len(words)])
    stored = StoredField("words", stream, Ragged.described(offsets, len(words)))
    views = {"features": FieldView("words", end=-1), "target": FieldView("words", start=1)}
    return np.split(words, offsets[1:-1]), FilesLayout((stored,), views)


def windows_of(dataset, shuffle, slots=None):
    loader = BlockLoader(
        dataset,
        BATCH,
        accumulation_steps=SLOTS,
        slots=slots,
        shuffle=shuffle,
        epochs=EPOCHS,
        seed=5,
        tell_rows=True,
    )
    steps = loader.order.windows
    sizes = Sizes(
        rows=ROWS,
        micro_batches_per_epoch=loader.order.micro_batches(),
        steps_per_epoch=steps,
        steps=steps * EPOCHS,
        rows_per_step=BATCH * SLOTS,
    )
    elements = WindowElements(loader.order, lambda rows: dataset.element_counts("target", rows))
    return loader, WindowSource(loader, sizes, elements)


SHUFFLES = [None, True, ShuffleSettings(block_bytes=100, buffer_bytes=1000)]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_gradient_of_every_window_is_that_of_its_elements_in_one_go(documents, shuffle):
    texts, layout = documents
    loader, source = windows_of(MemmapDataset(layout), shuffle)
    torch.manual_seed(0)
    model = NextWord().double()
    plain = copy.deepcopy(model)
    accumulator = tree(model, SLOTS, BATCH, WordLoss)
    for window in source.windows(0, TrainingCost()):
        pairs = [(texts[row][:-1], texts[row][1:]) for row in loader.rows]
        found = accumulator.accumulate(window, 1.0, never)
        plain.zero_grad()
        count = sum(len(target) for _, target in pairs)
        total = sum(
            nn.functional.cross_entropy(
                plain(torch.from_numpy(words)[None])[0], torch.from_numpy(target), reduction="sum"
            )
            for words, target in pairs
            if len(target)
        )
        (total / count).backward()
        assert window.elements == count
        assert found.loss == pytest.approx(total.item() / count, rel=1e-12)
        for part, other in zip(model.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(part.grad, other.grad, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_every_process_knows_the_same_divisor(documents, shuffle):
    _, layout = documents
    dataset = MemmapDataset(layout)
    divisors = []
    for slots in (None, range(2), range(2, 4), range(1, 2)):
        _, source = windows_of(dataset, shuffle, slots)
        divisors.append([window.divisor for window in source.windows(0, TrainingCost())])
    assert all(one == divisors[0] for one in divisors)


def test_a_gradient_is_the_same_bytes_with_slots_of_two_processes(documents):
    """What a slot computes depends on its rows and on the divisor alone."""
    _, layout = documents
    dataset = MemmapDataset(layout)
    whole = next(windows_of(dataset, True)[1].windows(0, TrainingCost()))
    for slots in (range(2), range(2, 4)):
        part = next(windows_of(dataset, True, slots)[1].windows(0, TrainingCost()))
        gradients = []
        for batches in (whole.batches[slots.start : slots.stop], part.batches):
            torch.manual_seed(0)
            model = NextWord()
            for batch in batches:
                (WordLoss()(model, batch) / part.divisor).backward()
            gradients.append(flat_gradient(model))
        assert torch.equal(*gradients)


def test_a_transform_that_changes_lengths_is_refused(documents):
    def first_two(row):
        return {name: values[:2] for name, values in row.items()}

    _, layout = documents
    _, source = windows_of(MemmapDataset(layout, transform=first_two), True)
    with pytest.raises(UserError, match="a transform must keep the lengths of the targets"):
        list(source.windows(0, TrainingCost()))


def test_a_window_without_elements_is_refused(tmp_path):
    stream = write_stream(tmp_path, np.zeros(60, np.int64), [0, 60])
    offsets = np.concatenate([np.zeros(20, np.int64), np.arange(24)])
    stored = StoredField("words", stream, Ragged.described(offsets, 60))
    views = {"features": FieldView("words"), "target": FieldView("words")}
    _, source = windows_of(MemmapDataset(FilesLayout((stored,), views)), None)
    with pytest.raises(UserError, match="the rows of step 1 have no elements"):
        list(source.windows(0, TrainingCost()))
