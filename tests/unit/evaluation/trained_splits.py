"""A small trained split, and the rows that it was trained on."""

import numpy as np
import safetensors.torch

from memtrain.evaluation.evaluator import Evaluator
from memtrain.recipes.model_file import read_origin
from memtrain.training.weights import write_weights

GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.random((300, 4), dtype=np.float32)
NUMBERS = (FEATURES @ [1, -2, 3, 0.5] + 0.3 * GENERATOR.random(300)).astype(np.float32)
CLASSES = np.digitize(NUMBERS, [0.8, 1.6])
RANGES = [[250, 300], [10, 60]]


class Split:
    """A trained split: the files that train writes, and the arguments of evaluate."""

    def __init__(self, folder, data, recipe):
        self.folder, self.data, self.recipe = folder, data, recipe
        self.model, self.history = folder / "model.safetensors", folder / "history.csv"
        recipe.write(folder / "split.json")

    def arguments(self, output):
        return [
            *("--data", self.data),
            *("--split", str(self.folder / "split.json")),
            *("--model", str(self.model)),
            *("--history", str(self.history)),
            *("--evaluation", str(output / "evaluation.json")),
            *("--predictions", str(output / "predictions.npy")),
        ]

    def evaluate(self):
        """Return the evaluation and the predictions."""
        path = self.folder / "predictions.npy"
        evaluation = Evaluator(self.recipe, self.data, self.model).run(path, steps=7)
        return evaluation, np.load(path)

    def set_weights(self, change):
        weights = safetensors.torch.load_file(self.model)
        write_weights(self.model, change(weights), read_origin(self.model))
