"""Predictions for new rows, with the names of targets and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from memtrain.recipes.recipe import TaskKind


@dataclass(frozen=True)
class RowPredictions:
    """What a model predicts for some rows.

    Attributes:
        values: (rows, values): the predicted numbers in the unit of the target, for the task
            "binary" the probability of yes, or of a classification the probability of every class
            (its score, with MultiMarginLoss). They are what an evaluation writes: float32, or
            float64 where the target is float64 in the data file.
        task: kind of task that the model does.
        target: names of the target columns.
        class_names: words of all classes, in the order of the classes' numbers; None where the
            classes are numbers, and for other tasks.
        class_numbers: of more than 1,000 classes, the most probable ones, to which the values
            belong, int64 (rows, values), the best first; None elsewhere.
        unknown_words: number of rows with a word that no training row had, by column. The model
            sees it as no word at all: 0 in every column of a one-hot, or the code 0.
    """

    values: np.ndarray
    task: TaskKind
    target: Sequence[str]
    class_names: Sequence[str] | None = None
    class_numbers: np.ndarray | None = None
    unknown_words: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def classes(self) -> np.ndarray:
        """The most probable class of every row, (rows,), as its word or else its number.

        Raises:
            ValueError: if the model is no classification.
        """
        if self.task != "classification":
            raise ValueError(f"the model does a {self.task}, which has no classes")
        best = self.values.argmax(axis=1)
        if self.class_numbers is not None:
            best = np.take_along_axis(self.class_numbers, best[:, np.newaxis], axis=1)[:, 0]
        return best if self.class_names is None else np.array(self.class_names)[best]

    def to_arrow(self) -> pa.Table:
        """Return the predictions as a table; its method ``to_pandas`` makes a DataFrame of it.

        A column for each target, with the predicted numbers, the probability of yes, or the most
        probable class. Of a classification, a column for each class follows, named
        "target=class"; of more than 1,000 classes only "target: probability", that of the most
        probable one.
        """
        if self.task != "classification":
            names = self.target
            if len(names) != self.values.shape[1]:
                names = [f"output {number}" for number in range(self.values.shape[1])]
            return pa.table({name: self.values[:, at] for at, name in enumerate(names)})
        (target,) = self.target
        columns = {target: self.classes}
        if self.class_numbers is not None:
            return pa.table(columns | {f"{target}: probability": self.values.max(axis=1)})
        words = self.class_names or range(self.values.shape[1])
        of_classes = {f"{target}={word}": self.values[:, at] for at, word in enumerate(words)}
        return pa.table(columns | of_classes)
