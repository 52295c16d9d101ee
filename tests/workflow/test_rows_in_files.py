"""Rows in files: what is made again when files change, and what is said of them."""

import os
import subprocess

import numpy as np
import pytest
import yaml

from tests.workflow.conftest import environment, make_project

CONFIGURATION = yaml.safe_load(
    """
dataset:
  name: small
  files:
    fields:
      x: {path: "parts/x*.npy"}
      y: {path: "parts/y*.npy", target: true}
splits:
  first: {train: [0, 150]}
  second: {train: [200, 400], evaluate: [400, 600]}
training: {batch_size: 32, epochs: 1}
evaluation: {bootstrap: 5}
"""
)

ROWS = ["describe_files", "index_group", "index_shards", "resolve_splits"]
OF_SECOND = ["train second", "evaluate second", "draw second", "summarize"]

#: Long ago, so that no file is too young to be known by its times.
_BEFORE = 1_000_000_000


@pytest.fixture
def project(tmp_path, repository):
    project = make_project(tmp_path / "x", repository, CONFIGURATION)
    (project / "parts").mkdir()
    for part in range(3):
        write_part(project, part, seed=part)
    return project


def write_part(project, part, seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(200, 4)).astype("f2")
    target = (features.astype("f4") @ [1, 2, 3, 4]).astype("f4")
    for name, values in (("x", features), ("y", target)):
        path = project / f"parts/{name}{part}.npy"
        np.save(path, values)
        os.utime(path, (_BEFORE, _BEFORE))


def test_what_a_change_of_files_makes_again(project):
    first = project.snakemake()
    assert first.jobs == sorted([*ROWS, "train first", *OF_SECOND])
    assert not (project / "results/small/data.npy").exists()

    # Other times and the same content: the files are read again, and nothing is made.
    for path in (project / "parts").iterdir():
        path.touch()
    assert project.snakemake().jobs == []

    # Another content of the same size: the splits that use its rows.
    write_part(project, 1, seed=9)
    replaced = project.snakemake()
    assert "index_shards: parts/x1.npy, parts/y1.npy changed" in replaced.output
    assert replaced.jobs == sorted([*ROWS[1:], *OF_SECOND])

    # Renamed and appended: the rows of the splits are what they were.
    for name in "xy":
        os.rename(project / f"parts/{name}0.npy", project / f"parts/{name}00.npy")
    write_part(project, 7, seed=7)
    renamed = project.snakemake()
    assert "parts/x0.npy, parts/y0.npy are gone" in renamed.output
    assert "parts/x00.npy, parts/x7.npy, parts/y00.npy and 1 more are new" in renamed.output
    assert renamed.jobs == sorted([*ROWS, "summarize"])

    # Cut: the file is named, before anything runs and by the job that finds it.
    path = project / "parts/x1.npy"
    size = path.stat().st_size
    os.truncate(path, size - 100)
    cut = project.snakemake(check=False)
    assert cut.status != 0
    assert "parts/x1.npy: 200 elements of 8 bytes" in cut.output
    assert "it is cut short" in cut.output
    trained = train(project)
    assert trained.returncode == 1
    assert f"parts/x1.npy: it has {size - 100:,} bytes" in trained.stderr
    path.unlink()
    gone = train(project)
    assert "parts/x1.npy: " in gone.stderr
    assert "No such file" in gone.stderr


def train(project):
    """Call the training of a split as a job would, and return how it ended."""
    command = [
        *("python", "scripts/train.py", "--data", "results/small/rows.json"),
        *("--split", "results/small/splits/second/split.json"),
        *("--model", "m.safetensors", "--history", "h.csv", "--validation", "v.csv"),
        *("--performance", "p.json", "--state", "state"),
    ]
    return subprocess.run(
        command, cwd=project.folder, capture_output=True, text=True, env=environment()
    )
