"""Trainings of these tests start quickly."""

import pytest

from tests.programs import quick_start


@pytest.fixture(scope="session", autouse=True)
def programs():
    """Programs that start quickly."""
    with quick_start():
        yield
