"""The settings of trackers."""

import pytest

from memtrain.config.parsing import parse_settings
from memtrain.config.tracking import TrackingSettings
from memtrain.core.errors import UserError


def test_no_tracker_is_on_by_default():
    assert TrackingSettings().names == []
    assert parse_settings(TrackingSettings, {"tensorboard": {}}).names == ["tensorboard"]
    mlflow = {"mlflow": {"uri": "http://localhost:5000"}}
    assert parse_settings(TrackingSettings, mlflow | {"tensorboard": {}}).names == [
        "tensorboard",
        "mlflow",
    ]


@pytest.mark.parametrize(
    "uri", ["http://me:secret@host:5000", "https://me@host", "postgresql://me:secret@host/runs"]
)
def test_an_address_with_a_password_is_refused(uri):
    with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD"):
        parse_settings(TrackingSettings, {"mlflow": {"uri": uri}}, "tracking")


@pytest.mark.parametrize("uri", ["http://[::1", ""])
def test_what_is_no_address_is_refused(uri):
    with pytest.raises(UserError, match=r"tracking\.mlflow\.uri"):
        parse_settings(TrackingSettings, {"mlflow": {"uri": uri}}, "tracking")
