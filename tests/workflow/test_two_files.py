"""Features and target in two files: both are inputs, both are in the lineage, rows move in both."""

import copy

import numpy as np
import pytest

from tests.workflow.conftest import make_project
from tests.workflow.imported import CONFIGURATION, rows, write_imported
from tests.workflow.test_withdrawals import RECIPES, withdrawn_rows_used


@pytest.fixture
def project(tmp_path, repository):
    configuration = copy.deepcopy(CONFIGURATION)
    configuration["dataset"]["import"] = {
        "path": {"features": "X.npy", "target": "y.npy"},
        "features": ":",
        "target": 0,
    }
    project = make_project(tmp_path / "x", repository, configuration)
    write_imported(project)
    write_files(project, np.round(rows(), 5).astype(np.float32))
    return project


def write_files(project, values):
    np.save(project / "X.npy", values[:, :3])
    np.save(project / "y.npy", values[:, 3])


def test_both_files_are_inputs_and_their_rows_stay_withdrawn(project):
    old = np.round(rows(), 5).astype(np.float32)
    project.snakemake(*RECIPES)
    explained = project.lineage("explain", "results/small/data.npy")
    assert "X.npy" in explained
    assert "y.npy" in explained
    project.lineage("withdraw", "--rows", "10:20", "--reason", "asked for")
    # Rows whose features or target alone are those of a withdrawn row are others.
    others = np.concatenate([old[10:20, :3], old[30:40, 3:]], axis=1)
    write_files(project, np.concatenate([others, old]))
    project.snakemake(*RECIPES)
    assert withdrawn_rows_used(project, old[10:20]) == []
    log = (project / "results/small/logs/resolve_splits.log").read_text()
    assert "these withdrawn rows now lie at [20, 30)" in log
    # The target alone changes: the rows are imported again.
    changed = np.concatenate([others, old])
    changed[:10, 3] += 1
    np.save(project / "y.npy", changed[:, 3])
    project.snakemake(*RECIPES)
    assert np.array_equal(np.load(project / "results/small/data.npy")["target"], changed[:, 3:])
