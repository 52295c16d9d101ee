"""Requests to leave a training early."""

import os
import signal
import time

import pytest

from memtrain.training.stopping import SIGNALS, StopRequests


@pytest.fixture(autouse=True)
def ctrl_c_counts():
    """Let SIGINT count, as in a terminal; a shell ignores it for what it runs in the background."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_requests_a_stop_and_does_nothing_else(number):
    before = signal.getsignal(number)
    with StopRequests() as stop:
        assert stop.reason is None
        os.kill(os.getpid(), number)
        assert stop.reason == f"{number.name} was received"
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_the_training_at_once(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        # torchrun sends on what the terminal has sent already.
        now = 0.5
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason == "SIGINT was received"
        now = 2.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_ignored_signal_stays_ignored():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequests() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.reason is None
    finally:
        signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize(("minutes", "seconds_before"), [(100, 300), (10, 60), (1, 30), (0.1, 3)])
def test_a_stop_is_requested_a_margin_before_the_end(minutes, seconds_before, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stop = StopRequests(minutes)
    now += minutes * 60 - seconds_before - 0.01
    assert stop.reason is None
    now += 0.02
    assert stop.reason == f"the {minutes} minutes of this job are nearly over"


def test_without_a_limit_no_stop_is_requested():
    assert StopRequests().reason is None
