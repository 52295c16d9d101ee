"""Finds what the results of a dataset hold and nothing needs any more."""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from memtrain.config.results import GROUPS_FILE, PREDICTIONS_FILE, ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.made_from import statement_in
from memtrain.recipes.model_file import read_origin
from memtrain.recipes.recipe_facts import read_recipe_facts
from memtrain.system.atomic_files import is_left_over
from memtrain.system.digests import digest_of_file

#: How the sentence on splits without an evaluation begins.
NOT_EVALUATED = "Not evaluated:"


@dataclass(frozen=True)
class Leftover:
    """A file or folder that nothing needs.

    Attributes:
        path: where it lies.
        why: why nothing needs it.
        size_bytes: the bytes that it takes, with everything below it.
    """

    path: Path
    why: str
    size_bytes: int


def unconfigured_splits(results: ResultsLayout, configured: Sequence[str]) -> list[str]:
    """Return the names of splits that have results or a state, but are not configured any more."""
    folders = (results.splits, results.state("any").parent)
    found = {path.name for folder in folders for path in folder.glob("*/") if path.is_dir()}
    return sorted(found - set(configured))


def unconfigured_text(splits: Sequence[str]) -> str:
    """Return what people should know of splits that are not configured any more."""
    return (
        f"No longer configured: {listed(splits)}. Their files are kept, and still hold what they "
        "learned of their rows; `python scripts/clean.py` removes them."
    )


def no_longer_evaluated(
    results: ResultsLayout, configured: Sequence[str], evaluated: Sequence[str]
) -> list[str]:
    """Return the names of configured splits that have an evaluation and no rows for one any more.

    Args:
        results: where the results lie.
        configured: the names of the splits that are configured.
        evaluated: the names of those that have rows to evaluate on.
    """
    return [
        split
        for split in configured
        if split not in evaluated and any(path.exists() for path in _of_evaluation(results, split))
    ]


def not_evaluated_text(splits: Sequence[str]) -> str:
    """Return what people should know of splits that have no rows to evaluate on."""
    what = "it is" if len(splits) == 1 else "they are"
    return (
        f"{NOT_EVALUATED} {listed(splits)}. Without `evaluate`, nothing tells how good {what} on "
        "other rows."
    )


def find_leftovers(
    results: ResultsLayout,
    configured: Sequence[str],
    evaluated: Sequence[str],
    predictions: Collection[str] = (),
) -> list[Leftover]:
    """Return what can be removed, largest first.

    Args:
        results: where the results lie.
        configured: the names of the splits that are configured.
        evaluated: the names of those that have rows to evaluate on.
        predictions: the names of the predictions that are configured.
    """
    found: dict[Path, Leftover] = {}
    paths = chain(
        _paths(results, configured, evaluated), _paths_of_predictions(results, predictions)
    )
    for path, why in paths:
        is_inside = any(parent in found for parent in path.parents)
        if os.path.lexists(path) and not is_inside and not _is_elsewhere(path, results.root):
            found.setdefault(path, Leftover(path, why, _size_of(path)))
    return sorted(found.values(), key=lambda one: (-one.size_bytes, one.path))


def remove(leftover: Leftover) -> None:
    """Remove a file or a folder; of a link, the link alone.

    Raises:
        UserError: if it cannot be removed.
    """
    path = leftover.path
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{error.filename or path}: cannot be removed ({error.strerror})."
        ) from None


def _is_elsewhere(path: Path, root: Path) -> bool:
    """Return whether a link leads from the folder of the results to where the path lies."""
    below = path.relative_to(root).parents
    return any((root / parent).is_symlink() for parent in below if parent.parts)


def _of_evaluation(results: ResultsLayout, split: str) -> tuple[Path, ...]:
    """Return what an evaluation and the drawing of its figures write."""
    files = results.split(split)
    return files.evaluation, files.predictions, files.figures.parent


def _paths(
    results: ResultsLayout, configured: Sequence[str], evaluated: Sequence[str]
) -> Iterator[tuple[Path, str]]:
    for split in unconfigured_splits(results, configured):
        for path in results.all_of_split(split):
            yield path, f"split {split} is no longer configured"
    for split in no_longer_evaluated(results, configured, evaluated):
        for path in _of_evaluation(results, split):
            yield path, f"split {split} is no longer evaluated"
    for path in results.replaced_data():
        yield path, "the rows are read from files where they lie"
    for split in configured:
        if _is_trained(results, split):
            yield results.state(split), f"{split} is trained"
        predictions = results.split(split).predictions
        if predictions.exists() and not _belongs(results, split):
            yield predictions, "it belongs to no evaluation"
    if results.groups.exists() and GROUPS_FILE not in statement_in(results.source).files:
        yield results.groups, "the rows have no groups"
    for path in sorted(results.root.rglob(".*.part")):
        if is_left_over(path):
            yield path, "a killed program was writing it"


def _paths_of_predictions(
    results: ResultsLayout, configured: Collection[str]
) -> Iterator[tuple[Path, str]]:
    for folder in sorted(results.predictions.glob("*/")):
        if folder.name not in configured:
            for path in results.all_of_prediction(folder.name):
                yield path, f"the predictions {folder.name} are no longer configured"


def _is_trained(results: ResultsLayout, split: str) -> bool:
    """Return whether the model of a split is that of its recipe."""
    files, state = results.split(split), results.state(split)
    if not state.is_dir():
        return False
    try:
        recipe = read_recipe_facts(files.recipe).digests["training"]
    except (UserError, OSError):
        return False
    return read_origin(files.model).made_from.get("recipe") == recipe


def _belongs(results: ResultsLayout, split: str) -> bool:
    files = results.split(split)
    written = statement_in(files.evaluation).files.get(PREDICTIONS_FILE)
    return written is not None and written == digest_of_file(files.predictions)


def _size_of(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(_size_of(Path(entry.path)) for entry in os.scandir(path))
