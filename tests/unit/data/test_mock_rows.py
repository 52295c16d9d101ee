"""Mock rows are reproducible, and a model can learn from them."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generate_data import main
from memtrain.config.dataset import MockSettings
from memtrain.core.errors import UserError
from memtrain.data.mock_rows import ROWS_PER_CHUNK, write_mock_data


def written(path, threads=2, **settings):
    source = write_mock_data(path, MockSettings(**settings), threads)
    return np.load(path), source


mock_settings = st.builds(
    dict,
    rows=st.sampled_from([1, 5, ROWS_PER_CHUNK - 1, ROWS_PER_CHUNK, 2 * ROWS_PER_CHUNK + 7]),
    features=st.integers(1, 5),
    target=st.sampled_from(["random", "linear", "mlp"]),
    noise=st.sampled_from([0, 0.5]),
    classes=st.sampled_from([None, 3]),
    seed=st.integers(0, 2**63 - 1),
)


@given(mock_settings)
@settings(deadline=None, max_examples=25)
def test_bytes_do_not_depend_on_threads_and_more_rows_keep_the_first_ones(tmp_path_factory, mock):
    folder = tmp_path_factory.mktemp("mock")
    rows, _ = written(folder / "1.npy", threads=1, **mock)
    again, _ = written(folder / "2.npy", threads=5, **mock)
    assert (folder / "1.npy").read_bytes() == (folder / "2.npy").read_bytes()
    more, _ = written(folder / "3.npy", **mock | {"rows": mock["rows"] + 100})
    assert more[: len(rows)].tobytes() == rows.tobytes() == again.tobytes()
    assert len(np.unique(rows["features"])) > 0.99 * rows["features"].size
    assert rows["features"].min() >= 0
    assert rows["features"].max() < 1


def test_the_bytes_are_those_of_the_first_release(tmp_path):
    """Another digest would mean that every user's mock data changes."""
    for mock, digest in GOLDEN:
        written(tmp_path / "x.npy", **mock)
        assert hashlib.sha256((tmp_path / "x.npy").read_bytes()).hexdigest()[:16] == digest


GOLDEN = [
    ({"rows": 10_000, "target": "mlp", "seed": 20250130}, "eabf1611af41ead4"),
    ({"rows": 10_000, "target": "linear", "classes": 3}, "ab8ee655faae1daa"),
]


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_linear_teacher_can_be_learned_down_to_the_noise(tmp_path, noise):
    rows, source = written(tmp_path / "x.npy", rows=50_000, target="linear", noise=noise)
    features = np.c_[rows["features"], np.ones(len(rows))].astype(np.float64)
    target = rows["target"][:, 0].astype(np.float64)
    residual = target - features @ np.linalg.lstsq(features, target)[0]
    assert source.lowest_loss == noise**2
    assert np.isclose((residual**2).mean(), noise**2, rtol=0.03, atol=1e-9)
    assert 0.5 < target.std() < 2


def test_an_mlp_teacher_is_not_linear(tmp_path):
    rows, _ = written(tmp_path / "x.npy", rows=20_000, target="mlp", noise=0)
    features = np.c_[rows["features"], np.ones(len(rows))].astype(np.float64)
    target = rows["target"][:, 0].astype(np.float64)
    residual = target - features @ np.linalg.lstsq(features, target)[0]
    assert residual.var() > 0.05 * target.var()


def test_random_targets_cannot_be_learned(tmp_path):
    rows, source = written(tmp_path / "x.npy", rows=50_000, target="random")
    assert source.lowest_loss == 1
    assert np.isclose(rows["target"].var(), 1, rtol=0.03)
    for column in range(20):
        correlation = np.corrcoef(rows["features"][:, column], rows["target"][:, 0])[0, 1]
        assert abs(correlation) < 0.02


def test_classes_are_drawn_from_the_teachers_softmax(tmp_path):
    rows, source = written(
        tmp_path / "x.npy", rows=40_000, features=2, target="linear", classes=3, noise=0.5
    )
    output = np.array(source.origin["teacher"]["output"])
    scores = rows["features"] @ output[:, :-1].T + output[:, -1]
    odds = np.exp(scores / 0.5)
    shares = odds / odds.sum(axis=1, keepdims=True)
    labels = rows["target"][:, 0]
    assert (source.task, source.classes) == ("classification", 3)
    assert np.allclose(np.bincount(labels) / len(rows), shares.mean(axis=0), atol=0.01)
    cross_entropy = -np.log(shares[range(len(rows)), labels]).mean()
    assert np.isclose(cross_entropy, source.lowest_loss, rtol=0.02)


def test_the_script_reports_every_mistake(tmp_path):
    with pytest.raises(UserError) as caught:
        main(["--settings", "{rows: 0, target: lin}", "--data", "x", "--source", "y"])
    assert len(caught.value.problems) == 2


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    arguments = ["--data", str(tmp_path / "x.npy"), "--source", str(tmp_path / "s.json")]
    with pytest.raises(UserError, match="are free in"):
        main(["--settings", "{rows: 1e13}", *arguments])
    assert list(tmp_path.iterdir()) == []
