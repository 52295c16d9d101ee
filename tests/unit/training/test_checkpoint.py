"""A checkpoint is used only if it is complete and belongs to the training."""

import os
import resource
import signal
from pathlib import Path

import pytest
import torch
import torch.optim.lr_scheduler as kinds

from memtrain.config.running import CheckpointSettings
from memtrain.core.errors import UserError
from memtrain.training.checkpoint import CheckpointFolder, fingerprint_of
from memtrain.training.checkpoint_schedule import CheckpointSchedule
from memtrain.training.distributed.process_group import ProcessGroup

CPU = torch.device("cpu")
FINGERPRINT = {"recipe": "r", "code": "c", "torch": "t", "device": "cpu"}


def state(step):
    return {"weights": torch.full((1000,), float(step)), "nested": [{"step": step}, (0.9, 0.99)]}


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "state", FINGERPRINT)


def reopened(folder, **changes):
    return CheckpointFolder(folder.folder, FINGERPRINT | changes)


def names(folder):
    return sorted(path.name for path in folder.folder.iterdir())


def test_the_newest_checkpoint_is_used_and_the_last_two_are_kept(folder):
    for step in (5, 10, 15):
        folder.save(step, state(step))
    assert names(folder) == ["step-10.json", "step-10.pt", "step-15.json", "step-15.pt"]
    again = reopened(folder)
    assert again.newest_step() == 15
    loaded = again.load(15)
    assert torch.equal(loaded["weights"], state(15)["weights"])
    assert loaded["nested"] == state(15)["nested"]
    again.save(20, state(20))
    assert names(folder) == ["step-15.json", "step-15.pt", "step-20.json", "step-20.pt"]


def test_the_noted_step_is_read_without_the_state(folder):
    assert folder.noted_step() == 0
    for step in (5, 10):
        folder.save(step, state(step))
    (folder.folder / "step-10.pt").unlink()
    assert reopened(folder).noted_step() == 10
    assert reopened(folder, code="another").noted_step() == 0
    (folder.folder / "step-10.json").write_text("{}")
    assert reopened(folder).noted_step() == 5


def test_a_folder_without_checkpoints(folder):
    assert folder.newest_step() == 0
    folder.remove()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "a flipped bit": (flip_a_bit, "its digest is not the one"),
    "cut": (lambda path: os.truncate(path, path.stat().st_size - 100), "bytes where"),
    "empty": (lambda path: path.write_bytes(b""), "it is damaged: 0 bytes where"),
    "gone": (Path.unlink, "it cannot be read (No such file or directory)"),
    "an empty note": (lambda path: path.with_suffix(".json").write_text(""), "is damaged"),
    "a note of another kind": (lambda path: path.with_suffix(".json").write_text("[1]"), "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_is_used(folder, caplog, damage):
    folder.save(5, state(5))
    folder.save(10, state(10))
    inflict, message = DAMAGES[damage]
    inflict(folder.folder / "step-10.pt")
    again = reopened(folder)
    assert again.newest_step() == 5
    assert "step-10" in (said := caplog.text)
    assert message in said
    assert again.load(5)["nested"][0]["step"] == 5
    again.save(7, state(7))
    assert names(folder) == ["step-5.json", "step-5.pt", "step-7.json", "step-7.pt"]


@pytest.mark.parametrize("part", sorted(FINGERPRINT))
def test_a_checkpoint_of_another_training_is_not_used(folder, caplog, part):
    folder.save(900, state(900))
    other = reopened(folder, **{part: "other"})
    assert other.newest_step() == 0
    assert f"belongs to another training (another {part})" in caplog.text
    # The other training can still use it, until this one saves a checkpoint of its own.
    assert reopened(folder).newest_step() == 900
    other.save(3, state(3))
    assert names(folder) == ["step-3.json", "step-3.pt"]


def test_a_half_written_checkpoint_does_not_count(folder):
    folder.save(5, state(5))
    (folder.folder / ".step-9.pt.abc.part").write_bytes(b"half")
    (folder.folder / "step-9.pt").write_bytes(b"without its note")
    again = reopened(folder)
    assert again.newest_step() == 5
    again.save(9, state(9))
    assert names(folder) == ["step-5.json", "step-5.pt", "step-9.json", "step-9.pt"]


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/memtrain-was-here",)


def test_code_inside_a_state_is_not_run(folder):
    folder.save(5, {"x": Evil()})
    with pytest.raises(UserError, match="cannot be read"):
        reopened(folder).load(5)
    assert not Path("/tmp/memtrain-was-here").exists()


def test_the_whole_folder_is_removed(folder):
    folder.save(5, state(5))
    (folder.folder / "progress.json").write_text("{}")
    folder.remove()
    assert not folder.folder.exists()


def test_the_fingerprint_depends_on_recipe_code_and_device():
    before = fingerprint_of("r", "c", CPU)
    for key, after in {
        "recipe": fingerprint_of("s", "c", CPU),
        "code": fingerprint_of("r", "d", CPU),
        "device": fingerprint_of("r", "c", torch.device("cuda")),
    }.items():
        assert [name for name in before if before[name] != after[name]] == [key]


def schedule_of(**settings):
    return CheckpointSchedule(CheckpointSettings(**settings), ProcessGroup(), CPU)


def test_when_the_next_checkpoint_is_due():
    every_third = schedule_of(steps=3)
    assert [step for step in range(1, 10) if every_third.is_due(step)] == [3, 6, 9]
    assert schedule_of(minutes=1e-9).is_due(1)
    assert not schedule_of(minutes=10).is_due(1)


def schedules():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    yield kinds.StepLR(optimizer, 2)
    yield kinds.MultiStepLR(optimizer, [2, 4])
    yield kinds.ConstantLR(optimizer)
    yield kinds.LinearLR(optimizer)
    yield kinds.ExponentialLR(optimizer, 0.9)
    yield kinds.PolynomialLR(optimizer)
    yield kinds.CosineAnnealingLR(optimizer, 5)
    yield kinds.CosineAnnealingWarmRestarts(optimizer, 5)
    yield kinds.OneCycleLR(optimizer, 0.1, total_steps=50)
    yield kinds.CyclicLR(optimizer, 0.01, 0.1)


@pytest.mark.parametrize("schedule", list(schedules()), ids=lambda one: type(one).__name__)
def test_the_state_of_a_schedule_is_restored(folder, schedule):
    for _ in range(3):
        schedule.optimizer.step()
        schedule.step()
    folder.save(3, schedule.state_dict())
    loaded = folder.load(3)
    assert loaded.keys() == schedule.state_dict().keys()
    schedule.load_state_dict(loaded)
    schedule.step()


OPTIMIZERS = "SGD Adam AdamW Adamax NAdam RAdam RMSprop Rprop Adagrad Adadelta ASGD Adafactor"


@pytest.mark.parametrize("name", OPTIMIZERS.split())
def test_the_state_of_an_optimizer_is_restored(folder, name):
    parameter = torch.nn.Parameter(torch.ones(3, 3))
    optimizer = getattr(torch.optim, name)([parameter], lr=0.01)
    for _ in range(2):
        parameter.grad = torch.ones(3, 3)
        optimizer.step()
    folder.save(2, optimizer.state_dict())
    optimizer.load_state_dict(folder.load(2))
    optimizer.step()


@pytest.mark.parametrize(
    "note",
    [
        "null",
        "[]",
        "7",
        "[" * 100_000,
        '{"version": 1, "fingerprint": [], "bytes": 1, "sha256": ""}',
        '{"version": 1, "fingerprint": {}, "bytes": "1", "sha256": ""}',
        '{"version": 1, "fingerprint": {}, "bytes": 1, "sha256": 5}',
        '{"version": ' + "1" * 5000 + "}",
    ],
)
def test_a_note_of_any_damage_is_passed_over(folder, note, caplog):
    for step in (5, 10):
        folder.save(step, state(step))
    (folder.folder / "step-10.json").write_text(note)
    again = reopened(folder)
    assert again.newest_step() == 5
    assert again.noted_step() == 5
    assert "step-10.json is damaged; it is not used" in caplog.text


def test_a_note_that_is_a_folder_is_passed_over(folder):
    for step in (5, 10):
        folder.save(step, state(step))
    (folder.folder / "step-10.json").unlink()
    (folder.folder / "step-10.json").mkdir()
    assert reopened(folder).newest_step() == 5


def test_half_written_files_of_a_killed_training_go(folder):
    folder.save(5, state(5))
    (folder.folder / ".step-10.pt.abc.part").write_bytes(b"half")
    assert reopened(folder).newest_step() == 5
    assert names(folder) == ["step-5.json", "step-5.pt"]


def test_a_state_that_cannot_be_saved_is_told_and_the_training_goes_on(folder, caplog):
    """A file size limit stands for a full disk: both fail in the middle of the write."""
    assert folder.save(5, state(5))
    assert folder.describe_saved() == "its state is saved"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert not folder.save(10, state(10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    assert "the state after step 10 cannot be saved" in caplog.text
    assert folder.describe_saved().endswith("the next one goes on after step 5")
    assert names(folder) == ["step-5.json", "step-5.pt"]
