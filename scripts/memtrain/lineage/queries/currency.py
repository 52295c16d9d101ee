"""Tells which results are not what the configuration, the code and the rows of today would make."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from memtrain.config.reading import read_configuration
from memtrain.config.results import CONFIGURATION_FILE, ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError
from memtrain.recipes.acceptances import ACCEPTED_FILE, read_acceptances
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.workflow.code_reader import CodeReader
from memtrain.workflow.judge import Judge
from memtrain.workflow.judgement import Judgement
from memtrain.workflow.today import Today


@dataclass(frozen=True)
class StaleResult:
    """A result that would be made again.

    Attributes:
        path: the file that stands for it, as it is reached from the project.
        reasons: why.
    """

    path: Path
    reasons: Sequence[str]


def today_of(results: ResultsLayout, project: Path, scripts: Path) -> Today:
    """Return what the results of a dataset would be made from now.

    Args:
        results: where the results lie.
        project: the folder of the project, which is the current folder.
        scripts: the folder of the scripts.

    Raises:
        UserError: if the configuration or the list of acceptances cannot be read.
    """
    configuration = current_configuration(results, project)
    notes = FileNotes(results.known_digests)
    return Today(
        configuration,
        results,
        scripts=scripts,
        withdrawals=project / WITHDRAWALS_FILE,
        accepted=read_acceptances(project / ACCEPTED_FILE, configuration.dataset.name),
        known=KnownDigests(notes),
        reader=CodeReader(notes),
    )


def current_configuration(results: ResultsLayout, project: Path) -> Configuration:
    """Return config.yaml, where it is that of the dataset; else the configuration of the last run.

    Raises:
        UserError: if neither can be read.
    """
    last = read_configuration(results.configuration)
    try:
        found = read_configuration(project / CONFIGURATION_FILE)
    except UserError:
        return last
    return found if found.dataset.name == last.dataset.name else last


def stale_results(today: Today) -> Iterator[StaleResult]:
    """Yield the results that are not current; what follows from another one is left out."""
    rows = list(stale_rows(today))
    yield from rows
    for split in today.splits:
        yield from stale_results_of(today, split, is_certain=not rows)
    if not rows:
        yield from stale_predictions(today)


def stale_predictions(today: Today) -> Iterator[StaleResult]:
    """Yield the predictions that are not current, though their model is."""
    judge = Judge(today)
    for name, settings in today.configuration.predictions.items():
        if judge.training(settings.split).is_current:
            path = today.results.prediction(name).predictions
            yield from _stale(path, partial(judge.prediction, name))


def stale_rows(today: Today) -> Iterator[StaleResult]:
    """Yield the rows and their manifest, if they are not current."""
    judge, results = Judge(today), today.results
    yield from _stale(results.data, judge.rows)
    yield from _stale(results.manifest, judge.manifest)


def stale_results_of(today: Today, split: str, is_certain: bool) -> Iterator[StaleResult]:
    """Yield the first result of a split that is not current.

    Args:
        today: what results would be made from now.
        split: the split.
        is_certain: whether rows and manifest are current. If not, the recipe is made again, and may
            come out as it is.
    """
    judge, files = Judge(today), today.results.split(split)
    stages = [
        (files.model, lambda: judge.training(split)),
    ]
    if split in today.evaluated_splits:
        stages += [
            (files.evaluation, lambda: judge.evaluation(split)),
            (files.figures, lambda: judge.figures(split)),
        ]
    if is_certain:
        stages.insert(0, (files.recipe, lambda: judge.recipe(split)))
    for path, judgement in stages:
        found = list(_stale(path, judgement))
        if found:
            yield from found
            return


def _stale(path: Path, judge: Callable[[], Judgement]) -> Iterator[StaleResult]:
    try:
        judgement = judge()
    except UserError as error:
        yield StaleResult(path, error.problems)
        return
    reasons = [reason for reason in judgement.reasons if not reason.endswith("is missing")]
    if reasons:
        yield StaleResult(path, reasons)
