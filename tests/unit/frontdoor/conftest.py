"""What the tests of `memtrain init` share."""

import argparse

import pytest
import yaml

from memtrain.config.reading import read_configuration
from memtrain.frontdoor.command import add_commands
from memtrain.frontdoor.init import init as run_init


@pytest.fixture
def init(tmp_path, monkeypatch):
    """A function that calls init in an empty folder, and returns the configuration it wrote."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        parser = argparse.ArgumentParser()
        add_commands(parser)
        assert run_init(parser.parse_args(["init", *map(str, arguments)])) == 0
        written = tmp_path / "config.yaml"
        if not written.exists():
            return None
        read_configuration(written)
        assert max(map(len, written.read_text().splitlines())) <= 100
        return yaml.safe_load(written.read_text())

    return call
