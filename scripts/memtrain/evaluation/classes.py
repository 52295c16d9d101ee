"""The evaluation of single classes."""

from memtrain.evaluation.result import ClassEvaluation
from memtrain.metrics.metrics import ClassCounts

#: Classes whose evaluation is written; of more classes, those with the most rows.
MOST_CLASSES = 1000


def class_evaluation(name: str, counts: ClassCounts, number: int) -> ClassEvaluation:
    """Return the evaluation of one class.

    Args:
        name: word of the class.
        counts: rows by class.
        number: number of the class.
    """
    hits, rows, predicted = (
        int(part[number]) for part in (counts.hits, counts.true_rows, counts.predicted_rows)
    )
    return ClassEvaluation(
        name=name,
        rows=rows,
        predicted=predicted,
        precision=hits / predicted if predicted else None,
        recall=hits / rows if rows else None,
        f1=2 * hits / (rows + predicted) if rows + predicted else None,
    )
