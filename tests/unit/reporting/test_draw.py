"""The figures of a split, drawn from the files of its training and evaluation."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import draw
from memtrain.core.errors import UserError
from memtrain.evaluation.predictions import create_predictions, prediction_dtype
from memtrain.evaluation.result import METRIC_LABELS, Evaluation

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((60, 2), dtype=np.float32)
FIGURES = ["errors.png", "learning_curve.png", "predictions.png"]


class Split:
    """The files that train and evaluate write, and the arguments of draw."""

    def __init__(self, folder, recipe, task, prediction):
        self.folder = folder
        self.recipe = recipe
        self.task = task
        recipe.write(folder / "split.json")
        (folder / "history.csv").write_text("step,epoch,rows,loss\n1,1,8,0.5\n2,2,8,0.25\n")
        (folder / "validation.csv").write_text("epoch,step,rows,loss\n1,1,9,0.6\n2,2,9,nan\n")
        self.write_predictions(prediction)
        self.write_evaluation()

    def write_predictions(self, prediction):
        target = GENERATOR.integers(2, size=(60, 1))
        dtype = prediction_dtype(self.task, prediction.shape[1], 1)
        with create_predictions(self.folder / "predictions.npy", dtype, 60) as writer:
            writer.write(np.arange(60), target, prediction)

    def write_evaluation(self, **changes):
        metrics = dict.fromkeys(METRIC_LABELS[self.task], 0.5)
        facts = {
            "split": "one",
            "task": self.task,
            "rows": 60,
            "ranges": [(0, 60)],
            "nonfinite_rows": 0,
            "metrics": metrics,
            "errors": metrics,
            "baseline": metrics,
            "loss": 0.3,
            "lowest_loss": 0.1,
            "ratio_to_lowest_loss": 3.0,
            "recipe": self.recipe.digest("training"),
            "evaluation_recipe": self.recipe.digest("evaluation"),
            "parameters": 3,
            "steps": 2,
        }
        Evaluation(**facts | changes).write(self.folder / "evaluation.json")

    def arguments(self, figures="figures"):
        return [
            *("--split", str(self.folder / "split.json")),
            *("--evaluation", str(self.folder / "evaluation.json")),
            *("--predictions", str(self.folder / "predictions.npy")),
            *("--history", str(self.folder / "history.csv")),
            *("--figures", str(self.folder / figures)),
        ]

    def figures(self, folder="figures"):
        return {path.name: path.read_bytes() for path in (self.folder / folder).iterdir()}


@pytest.fixture
def split(resolve, tmp_path):
    """Return a function that makes the files of a split."""

    def split(task="regression", prediction=None):
        target = GENERATOR.integers(2, size=60).astype(np.int64)
        classes = 2 if task == "classification" else None
        loss = "CrossEntropyLoss" if classes else "MSELoss"
        target = target if classes else target / 2
        _, recipe = resolve(FEATURES, target, {"loss": loss}, classes=classes)
        if prediction is None:
            prediction = GENERATOR.dirichlet(np.ones(2), size=60)[:, : classes or 1]
        return Split(tmp_path, recipe, task, prediction)

    return split


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification", "other"])
def test_a_split_has_three_figures_whatever_its_task(split, task):
    made = split(task)
    assert draw.main(made.arguments()) == 0
    assert sorted(made.figures()) == FIGURES
    assert all(content.startswith(b"\x89PNG") for content in made.figures().values())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_predictions_that_are_not_finite_can_be_drawn(split, task):
    made = split(task, np.full((60, 2 if task == "classification" else 1), np.nan))
    assert draw.main(made.arguments()) == 0
    assert sorted(made.figures()) == FIGURES


@pytest.mark.slow
def test_the_same_bytes_whatever_a_user_has_configured(split, tmp_path):
    made = split()
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: red\n")
    settings = {"PYTHONHASHSEED": "3", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    command = [sys.executable, draw.__file__, *made.arguments("two")]
    subprocess.run(command, check=True, env=os.environ | settings, capture_output=True)
    draw.main(made.arguments("one"))
    assert made.figures("one") == made.figures("two")


def test_an_evaluation_of_another_recipe_is_refused(split):
    made = split()
    made.write_evaluation(recipe="sha256:0")
    with pytest.raises(UserError, match=r"evaluation\.json: .* made with another recipe") as no:
        draw.main(made.arguments())
    assert str(no.value).endswith("Run train and evaluate again.")
    assert not (made.folder / "figures").exists()


@pytest.mark.parametrize(
    "file", ["evaluation.json", "predictions.npy", "history.csv", "validation.csv"]
)
def test_a_file_that_is_missing_is_named(split, file):
    made = split()
    (made.folder / file).unlink()
    with pytest.raises(UserError, match=rf"{file}: there is no such file"):
        draw.main(made.arguments())


@pytest.mark.slow
def test_no_pytorch_is_needed_to_draw(split):
    made = split()
    program = (
        "import sys, json, draw; draw.main(json.loads(sys.argv[1]));"
        "assert 'matplotlib' in sys.modules; assert 'torch' not in sys.modules"
    )
    folder = os.path.dirname(draw.__file__)
    command = [sys.executable, "-c", program, json.dumps(made.arguments())]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": folder})
