"""The wheel, built once and installed beside nothing but what it says that it needs."""

import re
import subprocess
import sys
import venv
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def wheel(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*command, folder, repository], check=True, capture_output=True)
    (built,) = folder.glob("memtrain-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """The Python of a new environment with the wheel and the packages that the wheel requires.

    The packages are links to those of the present environment, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--quiet", wheel], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in requirements_of(packages):
        link_files(name, packages)
    return python


def requirements_of(packages):
    """Return the names of what memtrain in a folder of packages requires, directly or not."""
    (memtrain,) = distributions(name="memtrain", path=[str(packages)])
    todo, found = required(memtrain), set()
    while todo:
        name = todo.pop()
        if name not in found and any(distributions(name=name)):
            found.add(name)
            todo += required(distribution(name))
    return found


def required(found):
    lines = [line for line in found.requires or [] if "extra ==" not in line]
    return [re.match(r"[\w.-]+", line)[0].lower() for line in lines]


def link_files(name, packages):
    files = distribution(name).files
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        source = Path(distribution(name).locate_file(top))
        if source.exists() and not (packages / top).exists():
            (packages / top).symlink_to(source)
