"""Programs that start quickly, for the tests that ask for them."""

import pytest

from tests.programs import let_programs_start_quickly


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Programs that start quickly."""
    let_programs_start_quickly(tmp_path_factory)
