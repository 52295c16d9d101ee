"""Rows that vary in length are predicted by the rule, of the dataset and of files of one's own."""

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from tests.workflow.conftest import make_project
from tests.workflow.test_verdicts import expect

CONFIGURATION = yaml.safe_load(
    """
dataset:
  name: small
  files:
    fields:
      words: {path: words.npy, ragged: {borders: {lengths: lengths.npy}}}
      stars: {path: stars.npy, target: true}
splits:
  one: {train: [0, 150], evaluate: [150, 200]}
training:
  model: reader:Reader
  loss: CrossEntropyLoss
  transform: none
  batch_size: 32
  epochs: 1
evaluation: {bootstrap: 5}
predictions:
  tail: {split: one, rows: [150, 200]}
  lists: {split: one, files: own.parquet}
  stream: {split: one, files: {path: "own-*.npy", ragged: {borders: {delimiter: 0}}}}
"""
)

MODULE = """
from torch import nn


class Reader(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.words = nn.Embedding(20, 6)
        self.stars = nn.Linear(6, out_features)

    def forward(self, features, lengths, mask):
        words = self.words(features.long()) * mask[:, :, None]
        return self.stars(words.sum(1) / lengths.clamp(min=1)[:, None])
"""


@pytest.fixture
def project(tmp_path, repository):
    project = make_project(tmp_path / "x", repository, CONFIGURATION)
    (project / "reader.py").write_text(MODULE)
    generator = np.random.default_rng(0)
    rows = [
        np.append(generator.integers(1, 20, length), 0).astype("u2")
        for length in generator.integers(0, 20, 200)
    ]
    np.save(project / "words.npy", np.concatenate(rows))
    np.save(project / "lengths.npy", [len(row) for row in rows])
    np.save(project / "stars.npy", [int(row.sum()) % 3 for row in rows])
    parquet.write_table(pa.table({"words": pa.array(rows[150:])}), project / "own.parquet")
    np.save(project / "own-1.npy", np.concatenate(rows[150:180]))
    np.save(project / "own-2.npy", np.concatenate(rows[180:]))
    return project


def predicted(project, name):
    return np.load(project / f"results/small/predictions/{name}/predictions.npy")


def test_rows_are_predicted_as_they_are_evaluated_and_again_when_files_change(project):
    assert project.snakemake().jobs.count("predict") == 3
    evaluated = np.load(project / "results/small/splits/one/predictions.npy")["prediction"]
    for name in ("tail", "lists", "stream"):
        assert predicted(project, name)["prediction"].tobytes() == evaluated.tobytes()
    assert predicted(project, "tail")["row"].tolist() == list(range(150, 200))
    expect(project.snakemake())
    np.save(project / "own-3.npy", np.array([5, 4, 3, 0, 2, 0], "u2"))
    run = project.snakemake()
    expect(run, "predict")
    assert "predict: prediction stream, rows changed" in run.output
    assert len(predicted(project, "stream")) == 52
    project.lineage("withdraw", "--rows", "160", "--reason", "asked for")
    assert "predict" in project.snakemake().jobs
    assert 160 not in predicted(project, "tail")["row"]
    assert len(predicted(project, "tail")) == 49
    assert " 0 findings" in project.lineage("verify")
