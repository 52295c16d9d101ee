"""Rows of a group lie together from the import on, and stay on one side of every split."""

import csv
import json

import numpy as np
import pytest

from tests.workflow.conftest import make_project
from tests.workflow.imported import CONFIGURATION, write_imported
from tests.workflow.test_verdicts import RECIPES, ROWS, expect, of_split

ORDER = {"seed": 1, "group_by": "patient"}
GROUPS = "results/small/groups.npy"


def read_patients(project):
    """Return the patient of every row of the data file, by its values in the CSV file."""
    with (project / "data/x.csv").open() as file:
        lines = list(csv.DictReader(file))
    patients = {tuple(np.float32(line[name]) for name in "abc"): line["patient"] for line in lines}
    data = np.load(project / "results/small/data.npy")
    return np.array([patients[tuple(values)] for values in data["features"]])


def write_patients(project):
    """Add a column of 40 patients, whose rows lie apart, to the CSV file."""
    first, *lines = (project / "data/x.csv").read_text().splitlines()
    added = [f"{line},p{number % 40}" for number, line in enumerate(lines)]
    (project / "data/x.csv").write_text("\n".join([f"{first},patient", *added]) + "\n")


@pytest.fixture
def project(tmp_path, repository):
    first = {"first": {"train": [0, "50%"], "evaluate": ["50%", "100%"]}}
    predictions = {"half": {"split": "first", "rows": ["50%", "100%"]}}
    configuration = CONFIGURATION | {"splits": first, "folds": 2, "predictions": predictions}
    project = make_project(tmp_path / "x", repository, configuration)
    write_imported(project)
    write_patients(project)
    project.configure(lambda content: content["dataset"]["import"].update(shuffle_once=ORDER))
    return project


def used_rows(project, split):
    """Return the rows that a split trains on, and those that it evaluates on."""
    recipe = json.loads((project / f"results/small/splits/{split}/split.json").read_text())
    return [
        np.concatenate([np.arange(*rows) for rows in recipe[use]["rows"]["ranges"]])
        for use in ("training", "evaluation")
    ]


def test_no_patient_is_trained_and_evaluated_on(project):
    splits = ["first", "fold_1", "fold_2"]
    expect(project.snakemake(), *ROWS, *of_split(*splits)[:-1], "predict", "summarize")
    patients = read_patients(project)
    for split in splits:
        train, evaluate = used_rows(project, split)
        assert not {*patients[train]} & {*patients[evaluate]}
        assert len(train) + len(evaluate) == 600
    predicted = np.load(project / "results/small/predictions/half/predictions.npy")
    assert np.array_equal(predicted["row"], used_rows(project, "first")[1])
    expect(project.snakemake())
    project.lineage("verify")
    assert "groups.npy" in project.lineage("explain", "results/small/splits/first/split.json")
    for export in (("rocrate", "."), ("prov", "prov.json"), ("croissant", "rows.json")):
        project.lineage("export", *export)
    # The file of the groups is a result like the others.
    (project / GROUPS).unlink()
    expect(project.snakemake(), *ROWS)
    assert (project / GROUPS).exists()


def test_withdrawn_rows_of_a_group_take_nothing_else_with_them(project):
    recipe = "results/small/splits/first/split.json"
    project.snakemake(recipe)
    before, old = used_rows(project, "first"), np.load(project / "results/small/data.npy")
    project.lineage("withdraw", "--rows", "20:25", "--reason", "asked for")
    project.snakemake(recipe)
    after = used_rows(project, "first")
    assert {*before[0]} - {*after[0]} == {*range(20, 25)}
    assert np.array_equal(before[1], after[1])
    # In another order of the groups, the same rows are left out.
    project.configure(lambda content: content["dataset"]["import"]["shuffle_once"].update(seed=2))
    expect(project.snakemake(recipe), *ROWS)
    new = np.load(project / "results/small/data.npy")
    left_out = np.setdiff1d(np.arange(600), np.concatenate(used_rows(project, "first")))
    assert {row.tobytes() for row in new[left_out]} == {row.tobytes() for row in old[20:25]}
    project.lineage("restore", "--rows", "20:25")
    expect(project.snakemake(recipe), *RECIPES)
    assert sum(map(len, used_rows(project, "first"))) == 600


def test_a_border_inside_a_group_is_told_with_those_around_it(project):
    project.configure(
        lambda content: content["splits"].update(first={"train": [0, 20], "evaluate": [30, 45]})
    )
    run = project.snakemake(check=False)
    assert run.status == 1
    assert "splits.first.train: [0, 20] cuts a group of 'patient' at row 20" in run.output
    assert "the group is rows [15, 30). Use 15 or 30, or a percentage" in run.output
