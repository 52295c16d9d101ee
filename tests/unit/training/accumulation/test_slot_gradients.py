"""The gradients of slots, each computed by itself."""

import pytest
import torch
from torch import nn

from memtrain.training.accumulation.slot_loss import WindowSlots
from memtrain.training.accumulation.summation_tree import tree_sum
from tests.unit.training.accumulation.accumulators import mlp_window, slot_gradients


def vector_of_run(model, run, batches, rows, step=0):
    """Return the summed vector of a run of the 8 slots of a window."""
    window = WindowSlots(step, {slot: batches[slot] for slot in run}, rows)
    return slot_gradients(model, 8, 16).sum_run(run, window).vector


def test_dropout_depends_only_on_step_and_slot():
    def gradients(step, slots):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(20, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        window = mlp_window()
        batches = dict(enumerate(window.batches))
        torch.manual_seed(step * 1000)
        return vector_of_run(model, slots, batches, window.rows, step)

    assert torch.equal(gradients(5, range(8)), gradients(5, range(4)) + gradients(5, range(4, 8)))
    assert not torch.equal(gradients(5, range(2, 3)), gradients(6, range(2, 3)))


def test_every_slot_has_its_own_dropout():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(20, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    batches = dict.fromkeys(range(8), mlp_window().batches[0])
    found = [vector_of_run(model, range(slot, slot + 1), batches, 128, step=5) for slot in range(8)]
    assert not any(
        torch.equal(one, other) for number, one in enumerate(found) for other in found[:number]
    )


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_buffers_change_by_the_mean_over_the_slots_for_any_number_of_processes(processes):
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(20), nn.Linear(20, 1))
    window, share = mlp_window(), 8 // processes
    batches = dict(enumerate(window.batches))
    vectors = []
    for rank in range(processes):
        run = range(rank * share, (rank + 1) * share)
        vectors.append(vector_of_run(model, run, batches, window.rows))
    all_took_part = torch.ones(4, dtype=torch.bool)
    slot_gradients(model, 8, 16).hand_over(tree_sum(vectors), all_took_part)
    means = torch.stack([batch["features"].mean(0) for batch in window.batches])
    assert torch.allclose(model[0].running_mean, 0.1 * means.mean(0), rtol=1e-5)
    assert model[0].num_batches_tracked == 1


@pytest.mark.slow
def test_gradients_of_bfloat16_parameters_are_summed_in_float32():
    torch.manual_seed(0)
    slots = 128
    model = nn.Linear(20, 1).bfloat16()
    window = mlp_window(slots=slots)
    window.batches[:] = [
        {name: value.bfloat16() for name, value in batch.items()} for batch in window.batches
    ]
    gradients, batches = slot_gradients(model, slots, 16), dict(enumerate(window.batches))
    summed = gradients.sum_run(range(slots), WindowSlots(0, batches, window.rows))
    vector = summed.vector
    alone = torch.stack(
        [vector_of_run(model, range(slot, slot + 1), batches, window.rows) for slot in range(slots)]
    )
    assert vector.dtype == torch.float32
    assert torch.allclose(vector, alone.double().sum(0).float(), rtol=1e-5)
    gradients.hand_over(vector, summed.took_part)
    assert model.weight.grad.dtype == torch.bfloat16
