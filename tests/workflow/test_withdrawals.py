"""Withdrawn rows of a CSV file are left out wherever they lie, from the first run on."""

import json

import numpy as np
import pytest

from tests.workflow.conftest import make_project
from tests.workflow.imported import CONFIGURATION, rows, write_imported, write_rows

RECIPES = [f"results/small/splits/{split}/split.json" for split in ("first", "second")]


@pytest.fixture
def project(tmp_path, repository):
    project = make_project(tmp_path / "x", repository, CONFIGURATION)
    write_imported(project)
    return project


def withdrawn_rows_used(project, withdrawn):
    """Return which of some withdrawn rows, (rows, 4), a split uses, by their numbers today."""
    data = np.load(project / "results/small/data.npy")
    values = np.column_stack([data["features"], data["target"]])
    # The CSV file has five digits.
    known = {tuple(row) for row in np.round(withdrawn, 5).astype(np.float32)}
    today = [number for number, row in enumerate(values) if tuple(row) in known]
    assert len(today) >= len(known)
    used = set()
    for path in RECIPES:
        recipe = json.loads((project / path).read_text())
        for use in ("training", "evaluation"):
            for start, end in recipe[use]["rows"]["ranges"]:
                used.update(range(start, end))
    return [row for row in today if row in used]


def test_rows_that_moved_in_the_file_stay_withdrawn(project):
    old = rows()
    project.snakemake(*RECIPES)
    project.lineage("withdraw", "--rows", "10:20", "--reason", "asked for")
    moved = np.concatenate([np.full((20, 4), 0.5), old, old[15:16]])
    write_rows(project / "data/x.csv", moved)
    project.snakemake(*RECIPES)
    assert withdrawn_rows_used(project, old[10:20]) == []
    log = (project / "results/small/logs/resolve_splits.log").read_text()
    assert (
        "rows [10, 20) (asked for): these withdrawn rows now lie at [30, 40), [620, 621); " in log
    )
    assert "11 rows have their values, which is more than were withdrawn, and all of" in log
    project.configure(lambda content: content["dataset"]["import"].update(shuffle_once=1))
    project.snakemake(*RECIPES)
    assert withdrawn_rows_used(project, old[10:20]) == []


def test_means_that_fill_missing_values_are_those_of_the_rows_that_are_left(project):
    text = (project / "data/x.csv").read_text().splitlines(keepends=True)
    text[351] = "," + text[351].partition(",")[2]  # Row 350, which the split "second" trains on.
    (project / "data/x.csv").write_text("".join(text))

    def keep_missing(content):
        content["dataset"]["import"].update(missing="keep")
        content["training"]["impute"] = "mean"

    project.configure(keep_missing)
    model = "results/small/splits/second/model.safetensors"
    project.snakemake(model)
    before = (project / model).read_bytes()
    found = json.loads(project.lineage("impact", "--rows", "10:20", "--json"))
    assert not [one for one in found if "second" in one["path"]]
    project.lineage("withdraw", "--rows", "10:20", "--reason", "asked for")
    project.snakemake(model)
    assert (project / model).read_bytes() == before
