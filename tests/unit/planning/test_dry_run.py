"""What would fail in the middle of a training is found when its split is resolved."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

from memtrain.core.errors import UserError
from memtrain.training.trainer import Trainer

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((81, 4), dtype=np.float32)
TARGET = GENERATOR.random((81, 1), dtype=np.float32)

SIZES = {"batch_size": 4, "accumulation_steps": 2, "epochs": 2}
IN_LANES = {"shuffle": {"block_bytes": 80, "buffer_bytes": 320}}


class Normalized(nn.Module):
    """A model that cannot be trained on a single row."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))

    def forward(self, features):
        return self.layers(features)


class FailsInTraining(nn.Linear):
    def __init__(self):
        super().__init__(4, 1)

    def forward(self, features):
        if self.training:
            raise RuntimeError("not while training")
        return super().forward(features)


class FixedSize(nn.Linear):
    """A model that takes micro-batches of four rows alone, and single ones outside training."""

    def __init__(self):
        super().__init__(4, 1)

    def forward(self, features):
        rows = 4 if self.training else 1
        return super().forward(features.view(rows, 4))


class FixedEverywhere(nn.Linear):
    def __init__(self):
        super().__init__(4, 1)

    def forward(self, features):
        return super().forward(features.view(4, 4))


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.values = nn.Embedding(3, 1, sparse=True)

    def forward(self, features):
        return self.values(features[:, 0].long())


class Detached(nn.Linear):
    def __init__(self):
        super().__init__(4, 1)

    def forward(self, features):
        return super().forward(features).detach()


class BranchesBySize(nn.Module):
    """A model of which one layer takes part in full micro-batches alone."""

    def __init__(self):
        super().__init__()
        self.always = nn.Linear(4, 1)
        self.sometimes = nn.Linear(4, 1)

    def forward(self, features):
        outputs = self.always(features)
        return outputs + self.sometimes(features) if len(features) == 4 else outputs


#: Sizes of the micro-batches that ``Costly`` has computed.
SIZES_SEEN = []


class Costly(nn.Linear):
    """A model that keeps 64 MiB for each row."""

    def __init__(self):
        super().__init__(4, 1)

    def forward(self, features):
        SIZES_SEEN.append(len(features))
        wide = super().forward(features).expand(-1, 1 << 23)
        return (wide * wide.detach().clone()).mean(1, keepdim=True)


def own(model):
    return {"model": f"{__name__}:{model.__name__}"}


def problem_of(resolve, training, rows=81):
    with pytest.raises(UserError) as caught:
        resolve(FEATURES[:rows], TARGET[:rows], SIZES | training)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (own(Normalized), "training.model: the model cannot be trained on the last micro-batch of"),
        (own(FailsInTraining), "training.model: the model cannot be trained on 4 rows: RuntimeErr"),
        (own(FixedSize), "training.model: the model cannot be trained on the last micro-batch of"),
        (own(FixedEverywhere), "training.model: the model does not fit rows of (4,) features"),
        (own(Sparse), "training.model: the gradient of values.weight is sparse"),
        (own(Detached), "training.loss: MSELoss does not fit the rows or the model, for 4 rows"),
    ],
    ids=lambda value: value.get("model", "").split(":")[-1] if isinstance(value, dict) else "",
)
def test_a_model_that_cannot_be_trained_is_refused(resolve, training, expected):
    assert problem_of(resolve, training).startswith(f"splits.one: {expected}")


def test_the_last_micro_batch_is_named_with_its_rows_and_a_remedy(resolve):
    problem = problem_of(resolve, own(Normalized))
    assert "which has 1 row: ValueError: Expected more than 1 value per channel" in problem
    assert "`last_window: drop`" in problem
    assert "GroupNorm" in problem
    remedies = [{"batch_size": 3}, {"last_window": "drop"}]
    for remedy in remedies:
        data, recipe = resolve(FEATURES, TARGET, SIZES | own(Normalized) | remedy)
        Trainer(recipe, data).run()
    data, recipe = resolve(FEATURES, TARGET, SIZES | own(FixedSize) | {"last_window": "drop"})
    Trainer(recipe, data).run()


@pytest.mark.parametrize("shuffle", [{}, {"shuffle": "none"}, IN_LANES])
@pytest.mark.parametrize("rows", range(17, 42, 3))
def test_whatever_is_accepted_can_be_trained(resolve, rows, shuffle):
    """The sizes that the dry run tries are those that occur."""
    training = SIZES | own(Normalized) | shuffle
    try:
        data, recipe = resolve(FEATURES[:rows], TARGET[:rows], training)
    except UserError:
        # A model that takes single rows does meet one.
        data, recipe = resolve(FEATURES[:rows], TARGET[:rows], training | {"model": "linear"})
        sizes = Trainer(recipe, data)._loader.order.micro_batch_sizes(
            0, recipe.training.sizes.steps_per_epoch
        )
        assert 1 in sizes
        return
    Trainer(recipe, data).run()


@pytest.mark.parametrize(("total_steps", "fits"), [(21, False), (22, True), (30, True)])
def test_a_schedule_must_last_to_the_end_of_the_training(resolve, total_steps, fits):
    scheduler = {"name": "OneCycleLR", "max_lr": 0.1, "total_steps": total_steps}
    training = {"model": "linear", "shuffle": "none", "scheduler": scheduler}
    if fits:
        data, recipe = resolve(FEATURES, TARGET, SIZES | training)
        assert len(Trainer(recipe, data).run().history) == 22
        return
    problem = problem_of(resolve, training)
    assert "training.scheduler: the schedule cannot be advanced to the end" in problem
    assert "22 steps (2 epochs of 11 steps)" in problem


@pytest.mark.parametrize(
    ("milestones", "total_steps", "fits"), [([4], 18, True), ([4], 17, False), ([21], None, True)]
)
def test_a_schedule_inside_must_last_to_the_end_of_its_part(resolve, milestones, total_steps, fits):
    last = {"name": "OneCycleLR", "max_lr": 0.1}
    last |= {"total_steps": total_steps} if total_steps else {}
    scheduler = {
        "name": "SequentialLR",
        "schedulers": ["LinearLR", last],
        "milestones": milestones,
    }
    training = {"model": "linear", "shuffle": "none", "scheduler": scheduler}
    if fits:
        resolve(FEATURES, TARGET, SIZES | training)
    else:
        problem = problem_of(resolve, training)
        assert "training.scheduler: the schedule cannot be advanced to the end" in problem


@pytest.mark.parametrize(("total_steps", "fits"), [(16495, False), (16496, True)])
def test_the_end_of_a_long_schedule_is_tried(resolve, total_steps, fits):
    last = {"name": "OneCycleLR", "max_lr": 0.1, "total_steps": total_steps}
    scheduler = {"name": "SequentialLR", "schedulers": ["LinearLR", last], "milestones": [4]}
    training = {"model": "linear", "shuffle": "none", "scheduler": scheduler, "epochs": 1500}
    if fits:
        resolve(FEATURES, TARGET, SIZES | training)
    else:
        assert "16,500 steps (1,500 epochs of 11 steps)" in problem_of(resolve, training)


class Own(torch.optim.Optimizer):
    """An optimizer that steps by the gradient, and does more in the classes below."""

    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr})
        self.taken = 0

    def step(self):
        for group in self.param_groups:
            for part in group["params"]:
                if part.grad is not None:
                    part.data.sub_(group["lr"] * self.factor(part) * part.grad)

    def factor(self, part):
        return 1.0


class Forgets(Own):
    """Remembers in an attribute what a checkpoint does not hold."""

    def factor(self, part):
        self.taken += 1
        return 1 / self.taken


class Draws(Own):
    def factor(self, part):
        return torch.rand(())


class KeepsObjects(Own):
    def factor(self, part):
        self.state[part]["last"] = np.float64(2)
        self.state[part]["at"] = [torch.zeros(1), np.random.default_rng]
        return 1.0


class NeedsClosure(Own):
    def step(self, closure=None):
        closure()


class Unfit:
    def __init__(self, params):
        pass


def drawing(step):
    return torch.rand(()).item()


def counting(step):
    SIZES_SEEN.append(step)
    return 1 / len(SIZES_SEEN)


def turning(step):
    return 1 - step


def failing(step):
    return float("nan") if step == 5 else 1.0


class KeepsAFunction(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, optimizer):
        self.half = lambda rate: rate / 2
        super().__init__(optimizer)

    def get_lr(self):
        return [self.half(rate) for rate in self.base_lrs]


@pytest.mark.parametrize(
    ("kind", "own", "expected"),
    [
        ("optimizer", Forgets, "does not go on from a saved state as it would have without a stop"),
        ("optimizer", Draws, "draws random numbers"),
        ("optimizer", KeepsObjects, "its state holds state.0.at[1] ("),
        ("optimizer", KeepsObjects, "state.0.last (numpy.float64)"),
        ("optimizer", NeedsClosure, "the optimizer cannot take a step: TypeError"),
        ("optimizer", Unfit, "gives Unfit, not a torch.optim.Optimizer"),
        ("scheduler", drawing, "the schedule draws random numbers"),
        ("scheduler", counting, "the schedule does not go on from a saved state"),
        ("scheduler", turning, "the learning rate of step 3 is -0.001"),
        ("scheduler", failing, "ValueError: the factor of step 5 is nan"),
        ("scheduler", KeepsAFunction, "its state holds half (builtins.function)"),
    ],
)
def test_what_would_not_go_on_is_refused(resolve, kind, own, expected):
    problem = problem_of(resolve, {kind: f"{__name__}:{own.__name__}"})
    assert problem.startswith(f"splits.one: training.{kind}: ")
    assert expected in problem


def test_an_optimizer_of_ones_own_that_goes_on_is_taken(resolve):
    data, recipe = resolve(FEATURES, TARGET, SIZES | {"optimizer": f"{__name__}:Own"})
    assert len(Trainer(recipe, data).run().history) == 22


def test_a_layer_that_takes_part_in_some_micro_batches_cannot_be_sharded(resolve):
    training = own(BranchesBySize) | {"reduction": "fast"}
    resolve(FEATURES, TARGET, SIZES | training)
    problem = problem_of(resolve, training | {"sharding": "fsdp"})
    assert "training.sharding: sometimes.bias, sometimes.weight took part in some" in problem


@pytest.mark.slow
def test_micro_batches_that_take_long_are_tried_with_fewer_rows(resolve, caplog):
    caplog.set_level(logging.INFO)
    SIZES_SEEN.clear()
    _, recipe = resolve(FEATURES, TARGET, SIZES | own(Costly) | {"batch_size": 64})
    assert max(SIZES_SEEN) < 16
    assert "micro-batches of 64 rows are tried with" in caplog.text
    assert recipe.resource_estimate.bytes_per_row >= 32 << 20


def test_the_dry_run_draws_no_random_numbers_of_others(resolve):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    resolve(FEATURES, TARGET, {"model": {"name": "mlp", "dropout": 0.5}})
    assert torch.equal(torch.rand(3), expected)
