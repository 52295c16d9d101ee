"""The default run, made once; every page works on a copy of it."""

import os
import shutil
import subprocess

import pytest

from tests.docs.project import copy_of_repository
from tests.programs import search_path
from tests.sharing import made_once


@pytest.fixture(scope="session")
def default_run(repository, tmp_path_factory):
    """A copy of the repository in which the workflow has run on config.yaml."""

    def run(path):
        folder = copy_of_repository(repository, path / "memtrain")
        command = ["snakemake", "--cores", "2"]
        environment = os.environ | {"PATH": search_path()}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    return made_once(tmp_path_factory, "docs", run) / "memtrain"


@pytest.fixture
def copy_of_default_run(default_run, tmp_path):
    """A copy of the default run that a test may change."""
    return shutil.copytree(default_run, tmp_path / "memtrain", symlinks=True)
