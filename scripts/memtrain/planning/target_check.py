"""Checks that a loss allows the targets of all rows, before any training begins."""

from collections.abc import Mapping, Sequence

from memtrain.components.loss_kinds import are_labels, kind_of, target_problem
from memtrain.config.training import TrainingSettings
from memtrain.data.field_statistics import merge_all
from memtrain.data.shard_summaries import PieceSummary


def target_problems(
    split: str, settings: TrainingSettings, pieces: Mapping[str, Sequence[PieceSummary]]
) -> list[str]:
    """Return why the loss of a split does not allow the targets of its rows.

    A transform of the user's may change the targets; then only those of the dry run can be judged.

    Args:
        split: name of the split.
        settings: settings of its training.
        pieces: its rows by their use: "training" and, where there are any, "evaluation" and
            "validation".
    """
    kind = kind_of(settings.loss)
    has_own_transform = settings.transform is not None and ":" in settings.transform.name
    if kind is None or has_own_transform:
        return []
    uses = {
        use: merge_all([piece.statistics["target"] for piece in parts])
        for use, parts in pieces.items()
    }
    key, name = f"splits.{split}: training.loss", settings.loss.name
    problems = {use: target_problem(name, kind, part) for use, part in uses.items()}
    found = [f"{key}: {use} rows: {problem}" for use, problem in problems.items() if problem]
    if found or kind.labels is None:
        return found
    labels = kind.labels
    others = [use for use, part in uses.items() if not are_labels(part, labels)]
    if "training" not in others and others:
        return [
            f"{key}: all targets of the training rows are 0 or 1, so that {name} learns yes or no, "
            f"but {others[0]} rows have targets in between. Use rows of the same kind, or MSELoss."
        ]
    return []
