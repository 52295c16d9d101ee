"""Trainings of these tests start quickly."""

import pytest

from tests.programs import let_programs_start_quickly


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory):
    """Programs that start quickly."""
    let_programs_start_quickly(tmp_path_factory)
