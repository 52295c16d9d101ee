"""Projects in temporary folders, in which tests run Snakemake as a user would."""

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.programs import search_path
from tests.sharing import made_once

#: Its data is larger than 1 MB, so that Snakemake looks at the age of the file, not its content.
CONFIGURATION = yaml.safe_load(
    """
dataset:
  name: small
  mock: {rows: 20000, features: 15, target: mlp, seed: 3}
shards: {rows: 1000}
splits:
  first: {train: [0, 1500], evaluate: [19900, 20000]}
  second: {train: [1700, 3000], evaluate: [19900, 20000]}
  share: {train: ["10%", "20%"], evaluate: [19900, 20000]}
training: {batch_size: 32, accumulation_steps: 4, epochs: 1}
evaluation: {bootstrap: 5}
"""
)

#: Files below results/<name>/ whose bytes are the same everywhere.
REPRODUCIBLE = [
    "data.npy",
    "source.json",
    "manifest.json",
    "manifest/*.json",
    "splits/*/split.json",
    "splits/*/model.safetensors",
    "splits/*/history.csv",
    "splits/*/evaluation.json",
    "splits/*/predictions.npy",
]

CODE = ["Snakefile", "rules", "scripts", "profiles", "envs", "report", "schemas", "config.yaml"]


@dataclass
class Run:
    """A call of Snakemake that has ended: its exit status and what it printed."""

    status: int
    output: str

    @property
    def jobs(self):
        """Return the jobs that ran, sorted, each as "rule" or "rule split"."""
        lines = re.findall(
            # Where memtrain is a module, Snakemake's own text names the split in a line below.
            r"^(?:local)?(?:rule|checkpoint) (\w+):"
            r"(?: split |\n(?:    .*\n)*?    wildcards: split=)?((?<=split.)[^\s,]+)?",
            self.output,
            re.MULTILINE,
        )
        return sorted(f"{rule} {split}".strip() for rule, split in lines if rule != "all")


class Project:
    """A project folder: a copy of the repository's code with a configuration of its own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __truediv__(self, path):
        return self.folder / path

    def configure(self, change=None):
        """Change the configuration by a function, and write it anew."""
        content = yaml.safe_load((self / "config.yaml").read_text())
        if change:
            change(content)
        (self / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    @property
    def environment(self):
        """The environment variables of calls in this project."""
        return environment()

    def command(self, *arguments):
        """Return the command line of a call of Snakemake."""
        return ["snakemake", *arguments]

    def snakemake(self, *arguments, cores=2, check=True, path=None, group=False):
        """Call Snakemake in the project's folder, in a process group of its own if asked."""
        done = subprocess.run(
            self.command("--cores", str(cores), *arguments),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(path, warm=not group),
            process_group=0 if group else None,
            # Even where the tests run in the background of a script, which ignores Ctrl-C.
            preexec_fn=_heed_ctrl_c if group else None,
        )
        if check:
            assert done.returncode == 0, done.stdout
        return Run(done.returncode, done.stdout)

    def lineage(self, *arguments, status=0):
        """Run lineage.py, and return what it prints.

        Args:
            arguments: arguments of lineage.py.
            status: exit status that it must have.
        """
        done = subprocess.run(
            ["python", "scripts/lineage.py", *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=environment(),
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def results(self, *patterns, name="small"):
        """Return the bytes of result files by their paths, relative to results/<name>.

        Args:
            patterns: glob patterns of the files.
            name: name of the dataset.
        """
        root = self / "results" / name
        return {
            str(path.relative_to(root)): path.read_bytes()
            for pattern in patterns
            for path in sorted(root.glob(pattern))
        }


def _heed_ctrl_c():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(last=None, warm=True):
    """Return the environment variables of a call, for the programs of ``search_path``."""
    return os.environ | {"PATH": search_path(last, warm), "PYTHONDONTWRITEBYTECODE": "1"}


def make_project(folder, repository, configuration=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name in CODE:
        source = repository / name
        target = folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    if configuration is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    return Project(folder)


@pytest.fixture
def new_project(tmp_path, repository):
    """Return a function that makes a project in which nothing has run."""

    def make(configuration=CONFIGURATION, name="project"):
        return make_project(tmp_path / name, repository, configuration)

    return make


def run_first(folder, repository):
    """Make the finished project."""
    run = make_project(folder, repository, CONFIGURATION).snakemake()
    assert run.jobs == [
        "draw first",
        "draw second",
        "draw share",
        "evaluate first",
        "evaluate second",
        "evaluate share",
        "generate_data",
        "index_shards",
        "resolve_splits",
        "summarize",
        "train first",
        "train second",
        "train share",
    ]


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory, repository):
    """A project that has run to its end. Tests change only `project`, which is a copy of it.

    It ran once for all processes of the tests. Each has a copy, since questions may leave files.
    """
    made = made_once(tmp_path_factory, "finished", lambda path: run_first(path, repository))
    return Project(shutil.copytree(made, tmp_path_factory.mktemp("finished") / "x"))


@pytest.fixture
def project(tmp_path, finished_project):
    """A copy of the finished project, with the ages of its files and what Snakemake remembers."""
    shutil.copytree(finished_project.folder, tmp_path / "copy")
    return Project(tmp_path / "copy")
