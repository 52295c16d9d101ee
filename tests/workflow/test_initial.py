"""Splits whose trainings start from the models of others, and files that trainings read."""

import json

import pytest
import yaml

CONFIGURATION = yaml.safe_load(
    """
dataset:
  name: small
  mock: {rows: 4000, features: 15, target: mlp, seed: 3}
shards: {rows: 500}
splits:
  again: {train: [2000, 2500], training: {initial: {split: tuned}}}
  tuned:
    train: [1000, 1500]
    evaluate: [3500, 4000]
    training: {initial: {split: base}, freeze: [layers.0.*]}
  base: {train: [0, 600]}
  other: {train: [0, 400], training: {transform: "own:shifted", reads: [shift.txt]}}
training: {batch_size: 32, accumulation_steps: 4, epochs: 1}
evaluation: {bootstrap: 5}
"""
)

OWN = """
from functools import cache
from pathlib import Path


@cache
def shift():
    return float(Path("shift.txt").read_text())


def shifted(row):
    return row | {"features": row["features"] + shift()}
"""

MODEL = "results/small/splits/{}/model.safetensors"
SPLITS = ("again", "base", "other", "tuned")


def models(project):
    return {split: (project / MODEL.format(split)).read_bytes() for split in SPLITS}


def expect(run, *jobs):
    """Fail unless exactly these jobs ran."""
    assert run.jobs == sorted(jobs), run.output


def changed(before, after):
    return [split for split in SPLITS if before[split] != after[split]]


@pytest.fixture
def chain(new_project):
    project = new_project(CONFIGURATION)
    (project / "own.py").write_text(OWN)
    (project / "shift.txt").write_text("0.5")
    return project


TUNED = ["evaluate tuned", "draw tuned", "summarize"]
OFFERS = ["offer_base base", "offer_base tuned"]


def test_a_chain_of_models_is_made_anew_by_what_the_first_one_is_made_from(chain):
    run = chain.snakemake()
    trainings = [f"train {split}" for split in SPLITS]
    rows = ["generate_data", "index_shards", "resolve_splits"]
    expect(run, *rows, *trainings, *OFFERS, *TUNED)
    first = models(chain)
    expect(chain.snakemake())

    # The same bytes, trained again, make nothing anew.
    (chain / MODEL.format("base")).unlink()
    plan = chain.snakemake("-n").output
    assert "train base: model.safetensors is missing" in plan
    assert "train tuned: perhaps, when the model of base is there, which it comes from" in plan
    expect(chain.snakemake(), "train base", "offer_base base", "summarize")
    assert models(chain) == first

    # A file that one split reads makes that split anew.
    (chain / "shift.txt").write_text("0.25")
    plan = chain.snakemake("-n").output
    assert "other: files that the training reads changed" in plan
    expect(chain.snakemake(), "resolve_splits", "train other", "summarize")
    second = models(chain)
    assert changed(first, second) == ["other"]

    # Everything that is known of the first model's rows goes down the chain.
    told = chain.lineage("explain", MODEL.format("again"))
    assert told.index("[2000, 2500)") < told.index("[1000, 1500)") < told.index("rows [0, 600)")
    reached = json.loads(chain.lineage("impact", "--rows", "500:501", "--json"))
    found = {one["path"] for one in reached if one["role"] == "model"}
    assert found == {MODEL.format(split) for split in ("base", "tuned", "again")}
    chain.lineage("verify")

    told = chain.lineage("withdraw", "--rows", "500:501", "--reason", "asked for")
    assert f"trained on some of these rows: {MODEL.format('base')}" in told
    for split in ("tuned", "again"):
        start = "made from a model that was trained on some of these rows: "
        assert f"{start}{MODEL.format(split)}" in told
    assert "models trained on these rows: 3; the next run of snakemake trains these" in told
    told = chain.lineage("verify", status=1)
    assert f"{MODEL.format('again')}: it was made from a model that was trained on rows" in told
    again = [f"train {split}" for split in ("again", "base", "tuned")]
    expect(chain.snakemake(), "resolve_splits", *again, *OFFERS, *TUNED)
    third = models(chain)
    assert changed(second, third) == ["again", "base", "tuned"]
    chain.lineage("verify")

    # A setting of the first one alone.
    def learn_faster(content):
        content["splits"]["base"]["training"] = {"seed": 5}

    chain.configure(learn_faster)
    expect(chain.snakemake(), "resolve_splits", *again, *OFFERS, *TUNED)
    assert changed(third, models(chain)) == ["again", "base", "tuned"]

    def go_in_circles(content):
        content["splits"]["base"]["training"] = {"initial": {"split": "again"}}

    chain.configure(go_in_circles)
    said = chain.snakemake(check=False)
    assert said.status != 0
    assert "again starts from tuned starts from base starts from again, so that none" in said.output
    assert "Traceback" not in said.output
