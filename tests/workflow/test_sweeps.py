"""A sweep as a user runs it: names, what runs again after a change, and the summary."""

import csv

import yaml

from tests.workflow.conftest import CONFIGURATION, make_project

LR, SEED = "training.optimizer.lr", "training.seed"


def test_a_sweep_trains_what_is_new_alone(tmp_path, repository):
    configuration = yaml.safe_load(yaml.safe_dump(CONFIGURATION))
    configuration["dataset"]["mock"] = {"rows": 1000, "features": 3}
    configuration["splits"] = {"a": {"train": [0, 500], "evaluate": [500, 1000]}}
    configuration["sweep"] = {"grid": {LR: [0.1, 0.01], SEED: [0, 1]}, "metric": "rmse"}
    project = make_project(tmp_path / "x", repository, configuration)
    run = project.snakemake()
    names = [f"a-lr={lr}-seed={seed}" for lr in (0.1, 0.01) for seed in (0, 1)]
    assert [job for job in run.jobs if job.startswith("train")] == sorted(
        f"train {name}" for name in names
    )
    models = project.results("splits/*/model.safetensors")
    with open(project / "results/small/summary/summary.csv") as file:
        assert [(line["split"], line[LR], line[SEED]) for line in csv.DictReader(file)] == [
            *((names[0], "0.1", "0"), (names[1], "0.1", "1")),
            *((names[2], "0.01", "0"), (names[3], "0.01", "1")),
        ]
    assert "Means of RMSE" in (project / "results/small/summary/summary.md").read_text()
    assert "Nothing to be done" in project.snakemake("-n").output
    answer = project.lineage("explain", f"results/small/splits/{names[0]}/model.safetensors")
    assert "[0, 500)" in answer

    project.configure(lambda content: content["sweep"]["grid"].update({LR: [0.1, 0.001]}))
    again = project.snakemake()
    new = ["a-lr=0.001-seed=0", "a-lr=0.001-seed=1"]
    for rule in ("train", "evaluate", "draw"):
        assert [job for job in again.jobs if job.startswith(rule)] == [f"{rule} {n}" for n in new]
    after = project.results("splits/*/model.safetensors")
    assert all(after[path] == models[path] for path in models)
    text = (project / "results/small/summary/summary.md").read_text()
    assert f"No longer configured: {names[2]}, {names[3]}" in text
