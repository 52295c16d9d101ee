"""Decides which results are current: by what they were made from, never by the times of files.

A result is current if all of its files are there, say that they were made from what they would be
made from today, and have the digests that were noted when they were written. Whether the results
that it was made from are current themselves is another question: ``workflow.verdicts`` puts the
answers together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import TypeVar, cast

from memtrain.core.errors import UserError
from memtrain.data.made_from import Statement, packages_text, statement_in
from memtrain.recipes.model_file import check_weights, read_origin
from memtrain.workflow.changed_files import changed_contents, changed_files, with_named_files
from memtrain.workflow.judgement import Judgement, changes, first_reasons
from memtrain.workflow.today import MadeFrom, Today
from memtrain.workflow.unfinished_run import is_partial

_Judges = TypeVar("_Judges", bound=Callable[..., Judgement])


def _once(judges: _Judges) -> _Judges:
    """Let a method of a judge give the same answer until the judge forgets it."""

    @wraps(judges)
    def answer(judge: "Judge", *names: str) -> Judgement:
        question = (judges.__name__, *names)
        if (known := judge.answers.get(question)) is None:
            known = judge.answers[question] = judges(judge, *names)
        return known

    return cast(_Judges, answer)


class Judge:
    """Judges the results of a dataset, each of them once until something is made.

    Args:
        today: where the results lie, and what they would be made from now.

    Attributes:
        answers: the judgements by the names of the methods and their arguments. They hold until
            something is made: then they have to be cleared.
    """

    def __init__(self, today: Today):
        self.answers: dict[tuple[str, ...], Judgement] = {}
        self._today = today
        self._results = today.results

    @_once
    def rows(self) -> Judgement:
        """Judge the data file and its source."""
        found = self._judge(self._today.makes_rows, self._results.source, self._today.rows)
        return with_named_files(found, "files", lambda: changed_files(self._today))

    @_once
    def manifest(self) -> Judgement:
        """Judge the manifest and its parts."""
        found = self._judge("index_shards", self._results.manifest, self._today.manifest)
        return with_named_files(found, "data", lambda: changed_contents(self._today))

    @_once
    def group(self, name: str) -> Judgement:
        """Judge the part of the manifest of a group of files."""
        path = self._results.part_of_manifest(name)
        return self._judge("index_shards", path, lambda: self._today.group(name))

    def recipes(self) -> Judgement:
        """Judge the recipes of all splits, which one job makes."""
        return Judgement(
            tuple(
                f"{split}: {reason}"
                for split in self._today.splits
                for reason in self.recipe(split).reasons
            )
        )

    @_once
    def recipe(self, split: str) -> Judgement:
        """Judge the recipe of one split."""
        path = self._results.split(split).recipe
        return self._judge(f"resolve_splits {split}", path, lambda: self._today.recipe(split))

    @_once
    def training(self, split: str) -> Judgement:
        """Judge the model and the history of a split, whose recipe is current."""
        files = self._results.split(split)
        origin = read_origin(files.model)
        found = self._compare(f"train {split}", origin, self._today.model(split))
        return Judgement(
            first_reasons(
                _missing([files.model, files.history, files.validation]),
                _unreadable(files.model, origin),
                found.reasons,
                self._changed_since_written(files.folder, origin.files),
                self._damaged_weights(split),
            ),
            found.notes,
        )

    @_once
    def evaluation(self, split: str) -> Judgement:
        """Judge the evaluation and the predictions of a split, whose model is current."""
        path = self._results.split(split).evaluation
        return self._judge(f"evaluate {split}", path, lambda: self._today.evaluation(split))

    @_once
    def figures(self, split: str) -> Judgement:
        """Judge the figures of a split, whose evaluation is current."""
        path = self._results.split(split).figures
        return self._judge(f"draw {split}", path, lambda: self._today.figures(split))

    @_once
    def prediction(self, name: str) -> Judgement:
        """Judge predictions, whose model is current."""
        path = self._results.prediction(name).made_from
        return self._judge(f"predict {name}", path, lambda: self._today.prediction(name))

    @_once
    def summary(self) -> Judgement:
        """Judge the summary of all splits, whose evaluations are current."""
        if is_partial(statement_in(self._results.summary)):
            return Judgement(("it is partial: jobs had failed",))
        return self._judge("summarize", self._results.summary, self._today.summary)

    def _judge(self, result: str, path: Path, today: Callable[[], MadeFrom]) -> Judgement:
        """Judge a result by the statement in a JSON file."""
        statement = statement_in(path)
        files = [path, *(path.parent / name for name in statement.files)]
        if broken := first_reasons(_missing(files), _unreadable(path, statement)):
            return Judgement(broken)
        found = self._compare(result, statement, today())
        by_hand = self._changed_since_written(path.parent, statement.files)
        return Judgement(first_reasons(found.reasons, by_hand), found.notes)

    def _compare(self, result: str, statement: Statement, today: MadeFrom) -> Judgement:
        """Compare what a result was made from with what it would be made from today.

        Args:
            result: the rule that made it, and its split, like "train first".
            statement: what the result says of itself.
            today: what it would be made from.
        """
        found, notes = dict(statement.made_from), []
        if accepted := self._today.acceptance(result, "code", found.get("code"), today["code"]):
            found["code"] = accepted.stands_for
            notes.append(f"made by other code, and accepted: {accepted.reason}")
        reasons = changes(found, today)
        with_packages, now = packages_text(statement.packages), self._today.packages
        if statement.packages and with_packages != now:
            accepted = self._today.acceptance(result, "packages", with_packages, now)
            if accepted:
                notes.append(f"made with {with_packages}, and accepted: {accepted.reason}")
            elif self._today.configuration.lineage.packages == "stale":
                reasons.append(f"packages changed ({with_packages} -> {now})")
            else:
                notes.append(f"made with {with_packages}; today it would be {now}")
        return Judgement(tuple(reasons), tuple(notes))

    def _changed_since_written(self, folder: Path, files: Mapping[str, str]) -> Iterator[str]:
        for name, digest in files.items():
            found = self._today.digest(folder / name)
            if found is not None and found != digest:
                yield f"{Path(name).name} was changed by hand"

    def _damaged_weights(self, split: str) -> Iterator[str]:
        """Yield a reason if the weights are damaged.

        A model that has been evaluated as it is was checked then, so that it need not be read.
        """
        files = self._results.split(split)
        evaluated = statement_in(files.evaluation).made_from.get("model")
        found = self._today.digest(files.model)
        if found is None or found == evaluated:
            return
        try:
            check_weights(files.model)
        except UserError:
            yield f"{files.model.name} is damaged"


def _missing(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        if not file.is_file():
            yield f"{file.name} is missing"


def _unreadable(path: Path, statement: Statement) -> Iterator[str]:
    if not statement.made_from:
        yield f"{path.name} is damaged, was changed by hand, or comes from another version"
