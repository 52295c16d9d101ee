"""Facts about the evaluated rows that are found in the file of the predictions, in several passes.

They depend on all rows together: ranks of scores, pairs of classes, and metrics of the user's own.
"""

import math
import os
from collections.abc import Iterator
from functools import partial

import numpy as np

from memtrain.config.objects import describe_exception, import_object
from memtrain.core.errors import UserError
from memtrain.core.wording import shown
from memtrain.evaluation.confusions import ConfusedPair, PredictedClasses, most_confused
from memtrain.evaluation.predictions import Predictions
from memtrain.evaluation.ranking import Ranking, ScoredChunk, mean_ranking, rank

#: Classes up to which AUROC and average precision are computed: each needs its own order of rows.
MOST_RANKED_CLASSES = 32

#: Pairs of confused classes that an evaluation has.
MOST_CONFUSIONS = 20


class WrittenRows:
    """The rows of a file of predictions.

    Args:
        path: ``predictions.npy``, of which all predictions are finite.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = path
        self._predictions = Predictions(path)

    def rank_classes(self, classes: int) -> list[Ranking | None]:
        """Return how well the probability of a class ranks its rows: the mean over the classes.

        Of two classes, only the second counts, as for a label; a class that no row has, or that all
        rows have, is left out. The list has one ranking, or none if there are too many classes.
        """
        if classes > MOST_RANKED_CLASSES:
            return []
        ranked = range(classes) if classes > 2 else range(1, classes)
        return [mean_ranking([rank(partial(self._scores_of_class, number)) for number in ranked])]

    def rank_targets(self, targets: int, yes: float) -> list[Ranking | None]:
        """Return how well the probability of yes ranks the rows, for each target.

        Args:
            targets: number of targets.
            yes: the label of yes.
        """
        return [rank(partial(self._scores_of_target, number, yes)) for number in range(targets)]

    def confusions(self, confused_rows: np.ndarray) -> list[ConfusedPair]:
        """Return the pairs of classes that are confused most.

        Args:
            confused_rows: rows of each true class that are predicted as another, int64 (classes,).
        """

        def read() -> Iterator[PredictedClasses]:
            for chunk in self._predictions.chunks():
                yield PredictedClasses(chunk.target[:, 0], chunk.predicted_class)

        return most_confused(read, confused_rows, MOST_CONFUSIONS)

    def own_metric(self, where: str, path: str) -> float | None:
        """Return a metric of the user's own; None where it is not finite.

        Args:
            where: key of the setting, for error messages.
            path: "package.module:function". The function gets the predictions and the targets, as
                they stand in the file, and returns a number.

        Raises:
            UserError: if there is no such function, or it fails, or gives no number.
        """
        function = import_object(where, path)
        records = np.load(self._path, mmap_mode="r")
        try:
            value = function(records["prediction"], records["target"])
        except (Exception, SystemExit) as error:
            raise UserError(f"{where}: {path} fails: {describe_exception(error)}.") from None
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UserError(
                f"{where}: {path} gives {shown(value)}; a metric returns one number."
            ) from None
        return number if math.isfinite(number) else None

    def _scores_of_class(self, number: int) -> Iterator[ScoredChunk]:
        for chunk in self._predictions.chunks():
            yield ScoredChunk(chunk.prediction[:, number], chunk.target[:, 0] == number)

    def _scores_of_target(self, number: int, yes: float) -> Iterator[ScoredChunk]:
        for chunk in self._predictions.chunks():
            yield ScoredChunk(chunk.prediction[:, number], chunk.target[:, number] == yes)
