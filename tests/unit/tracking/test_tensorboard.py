"""TensorBoard's event files, read by TensorBoard."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from memtrain.tracking.tracked_training import identity_of_model
from tests.unit.tracking.conftest import tracking

pytestmark = pytest.mark.slow

TENSORBOARD = tracking(tensorboard={})


def events_of(training):
    """Return what TensorBoard reads of the only training."""
    (folder,) = (training.folder.parents[1] / "tracking/tensorboard").iterdir()
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return events.Reload()


def columns(path):
    """Return the columns of a table, by their names."""
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    return {name: [float(line[name]) for line in lines] for name in lines[0]}


def assert_shows_results(events, training):
    """Assert that the curves are those of the results, as float32, each step once."""
    for table in ("history", "validation"):
        found = columns(training.folder / f"{table}.csv")
        prefix = {"history": "training"}.get(table, table)
        for name in set(found) - {"step", "epoch", "rows"}:
            scalars = events.Scalars(f"{prefix}/{name}")
            assert [scalar.step for scalar in scalars] == found["step"], name
            expected = np.array(found[name], np.float32)
            assert np.array_equal(np.array([one.value for one in scalars], np.float32), expected)


def hparams(events, tag):
    data = events.summary_metadata[f"_hparams_/{tag}"].plugin_data.content
    return getattr(HParamsPluginData.FromString(data), tag)


def test_what_is_shown_is_what_the_results_say(project):
    plain, tracked = project("plain"), project()
    plain.run()
    assert "warning" not in tracked.run(*TENSORBOARD, SECONDS="0.1")
    assert tracked.digests() == plain.digests()
    assert not tracked.state.exists()
    events = events_of(tracked)
    assert_shows_results(events, tracked)
    settings = hparams(events, "session_start_info").hparams
    assert settings["batch_size"].number_value == 10
    assert settings["model.name"].string_value == "own:Slow"
    assert settings["rows"].number_value == 400
    assert hparams(events, "session_end_info").status == 1
    identity = identity_of_model(tracked.folder / "model.safetensors")
    (text,) = events.Tensors("made_from/text_summary")
    (content,) = text.tensor_proto.string_val
    for fact in (identity.recipe, identity.code, identity.digest, "| memtrain.split | one |"):
        assert fact in content.decode()
    seconds = events.Scalars("performance/seconds")[0]
    assert seconds.value == pytest.approx(tracked.performance()["seconds"])
    assert seconds.step == 0


def test_a_training_that_is_killed_goes_on_in_the_same_run(project):
    plain, training = project("plain"), project()
    plain.run()
    checkpoints = ["--running", "{checkpoint: {steps: 3}}"]
    slow = {"SECONDS": "0.1"}
    for call in ("30", "25"):
        training.run(*TENSORBOARD, *checkpoints, status=None, KILL_AT=call, **slow)
    training.run(*TENSORBOARD, *checkpoints, **slow)
    assert training.digests() == plain.digests()
    assert_shows_results(events_of(training), training)
    (folder,) = (training.folder.parents[1] / "tracking/tensorboard").iterdir()
    assert len(list(folder.iterdir())) == 3


def test_a_folder_that_cannot_be_written_changes_nothing(project):
    plain, training = project("plain"), project()
    plain.run()
    Path(training.folder, "full").write_text("no folder")
    output = training.run(*tracking(tensorboard={"folder": "full"}), SECONDS="0.1")
    assert output.count("warning: ") == 1
    assert "tracking.tensorboard: full: " in output
    assert training.digests() == plain.digests()


def test_where_a_training_needs_folders_is_told(project):
    arguments = tracking(tensorboard={})[:2]
    assert "--tracking needs --tracking-folder" in project().run(*arguments, status=1)
