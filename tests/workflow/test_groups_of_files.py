"""Rows in files are indexed a group of files at a time, and only the groups that changed."""

import numpy as np
import pytest

from tests.workflow.conftest import make_project

CONFIGURATION = {
    "dataset": {
        "name": "small",
        "files": {"path": "parts/*.npy", "features": "0:8", "target": "8:"},
    },
    "shards": {"rows": 64},
    "splits": {
        "first": {"train": [0, 300], "evaluate": [300, 400]},
        "second": {"train": [400, 500], "evaluate": [500, 600]},
    },
    "training": {"batch_size": 32, "accumulation_steps": 2, "epochs": 1},
    "evaluation": {"bootstrap": 5},
}

ROWS = 200


@pytest.fixture
def project(tmp_path, repository):
    project = make_project(tmp_path / "x", repository, CONFIGURATION)
    # Groups of a few kilobytes, so that each of these files is one.
    code = project / "scripts/memtrain/data/file_groups.py"
    text = code.read_text()
    for name, value in (("_GROUP_BYTES", "1 << 30"), ("_BYTES_PER_FILE", "1 << 18")):
        assert f"{name} = {value}" in text
        text = text.replace(f"{name} = {value}", f"{name} = 1")
    code.write_text(text)
    (project / "parts").mkdir()
    for number in range(3):
        write_file(project, number)
    return project


def write_file(project, number, seed=None):
    values = np.random.default_rng(number if seed is None else seed).random((ROWS, 9))
    np.save(project / f"parts/{number}.npy", values.astype(np.float32))


def test_borders_of_documents_that_are_gone_or_changed_are_found_again(tmp_path, repository):
    """borders.npy is no output of its rule; its digest in source.json stands for it."""
    windows = {"length": 8, "target": "next", "borders": {"delimiter": 0}}
    files = {"path": "tokens.bin", "dtype": "uint8", "windows": windows}
    configuration = CONFIGURATION | {
        "dataset": {"name": "small", "files": files},
        "splits": {"first": {"train": [0, 100]}},
    }
    project = make_project(tmp_path / "x", repository, configuration)
    np.random.default_rng(0).integers(0, 20, 5000, np.uint8).tofile(project / "tokens.bin")
    manifest, borders = "results/small/manifest.json", project / "results/small/borders.npy"
    project.snakemake(manifest)
    before = borders.read_bytes()
    borders.unlink()
    gone = project.snakemake(manifest)
    assert "describe_files: borders.npy is missing" in gone.output
    assert borders.read_bytes() == before
    borders.write_bytes(before[:-1] + b"x")
    assert "describe_files" in project.snakemake(manifest).jobs
    assert borders.read_bytes() == before
    assert project.snakemake(manifest).jobs == []


def parts(project):
    return project.results("manifest/*.json")


def test_a_changed_and_an_added_file_are_indexed_alone(project):
    jobs = project.snakemake().jobs
    assert jobs.count("index_group") == len(parts(project)) == 3
    models = project.results("splits/*/model.safetensors")
    assert project.snakemake().jobs == []
    write_file(project, 3)
    before = parts(project)
    run = project.snakemake()
    assert run.jobs.count("index_group") == 1
    assert not [job for job in run.jobs if job.startswith("train")]
    assert before.items() <= parts(project).items()
    write_file(project, 2, seed=9)
    run = project.snakemake()
    assert run.jobs.count("index_group") == 1
    assert [job for job in run.jobs if job.startswith("train")] == ["train second"]
    assert "group" in run.output
    assert "rows changed" in run.output or "files changed" in run.output
    after = project.results("splits/*/model.safetensors")
    assert [name for name in models if models[name] != after[name]] == [
        "splits/second/model.safetensors"
    ]
    (project / "parts/1.npy").unlink()
    assert "index_group" not in project.snakemake("results/small/manifest.json").jobs
    assert len(parts(project)) == 3
