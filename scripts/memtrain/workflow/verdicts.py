"""The verdicts on all results, by the rules that make them.

A rule whose inputs are made again is run again too, so a verdict implies those on the results above
it. There are two exceptions, at whose content a training looks when they are there: its recipe, and
the model that it starts from.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from memtrain.config.results import ResultsLayout
from memtrain.workflow.judge import Judge
from memtrain.workflow.judgement import Judgement
from memtrain.workflow.verdict_files import (
    set_back_to_now,
    write_current,
    write_new,
    write_stale,
)


class Verdicts:
    """Judges results when Snakemake asks, and tells it by verdict files.

    Every verdict is given once: what a job of this call makes is not judged again.

    Args:
        judge: judges single results.
        results: where the results lie.
        splits: the names of the configured splits.
        evaluated: the names of those that have rows to evaluate on.
        makes_rows: the rule that makes the rows.
        predicts: the split whose model makes predictions, by their name.
        is_forced: returns whether the user asked for a rule or a file to be made again.
    """

    def __init__(
        self,
        judge: Judge,
        results: ResultsLayout,
        splits: list[str],
        evaluated: list[str],
        makes_rows: str,
        predicts: Mapping[str, str],
        is_forced: Callable[[str, list[Path]], bool],
    ):
        self._judge = judge
        self._results = results
        self._splits = splits
        self._evaluated = evaluated
        self._makes_rows = makes_rows
        self._predicts = predicts
        self._is_forced = is_forced
        self.on = cache(self._on)
        self.why = cache(self._why)
        self._are_there = cache(self._find_any)
        self.write = cache(self._write)
        self._set_back_times = cache(self._set_back_times_of_all)

    def _why(self, rule: str, split: str | None = None) -> str | None:
        """Return why the results of a rule are made in this call; None where they are current."""
        judgement = self.on(rule, split)
        if judgement.is_current:
            return None
        return "; ".join(judgement.reasons) if self._are_there(rule, split) else "new"

    def runs(self, rule: str, split: str | None = None) -> bool:
        """Return whether the results of a rule are made in this call."""
        return not self.on(rule, split).is_current

    def _on(self, rule: str, split: str | None = None) -> Judgement:
        """Return the judgement on the results of a rule.

        Args:
            rule: the name of the rule, as the script is named.
            split: the split, the group of files of "index_group", or the predictions of "predict";
                None for a rule that makes results of the whole dataset.
        """
        own = self._own(rule, split)
        if not own.is_current:
            return own
        if self._is_forced(rule, list(self._files(rule, split))):
            return Judgement(("asked for on the command line",), own.notes)
        above = [
            f"{name} runs again" if part is None else f"{name} {part} runs again"
            for name, part in self._above(rule, split)
            if not self.on(name, part).is_current
        ]
        return Judgement(tuple(above[:3]), own.notes)

    def _write(self, rule: str, split: str | None = None) -> Path:
        """Write the verdict on the results of a rule, and return its file."""
        path = self._results.verdict(rule, split)
        judgement = self.on(rule, split)
        if judgement.is_current:
            write_current(path)
            return path
        self._set_back_times()
        if self._are_there(rule, split):
            write_stale(path, judgement.reasons, self._files(rule, split))
        else:
            write_new(path)
        return path

    def _find_any(self, rule: str, split: str | None) -> bool:
        """Return whether any file is there that a rule makes."""
        return any(path.exists() for path in self._files(rule, split))

    def _set_back_times_of_all(self) -> None:
        results = self._results
        parts = results.manifest.with_suffix("")
        folders = (parts, results.splits, results.predictions, results.summary.parent)
        files = [file for file in (results.data, results.source, results.manifest) if file.exists()]
        below = (path for folder in folders if folder.is_dir() for path in folder.rglob("*"))
        set_back_to_now([*files, *(folder for folder in folders if folder.is_dir()), *below])

    def _own(self, rule: str, split: str | None) -> Judgement:
        """Return the judgement on results by themselves."""
        judge = self._judge
        if split is None:
            return {
                self._makes_rows: judge.rows,
                "index_shards": judge.manifest,
                "resolve_splits": judge.recipes,
                "summarize": judge.summary,
            }[rule]()
        return {
            "index_group": judge.group,
            "train": judge.training,
            "evaluate": judge.evaluation,
            "draw": judge.figures,
            "predict": judge.prediction,
        }[rule](split)

    def _above(self, rule: str, split: str | None) -> Iterator[tuple[str, str | None]]:
        """Yield the rules, with their splits, whose results a rule is run again with."""
        if rule == "index_shards":
            yield self._makes_rows, None
        elif rule == "resolve_splits":
            yield "index_shards", None
        elif rule == "evaluate":
            yield "train", split
        elif rule == "draw":
            yield "evaluate", split
        elif rule == "predict" and split is not None:
            yield "train", self._predicts[split]
        elif rule == "summarize":
            for name in self._splits:
                yield ("draw" if name in self._evaluated else "train"), name

    def _files(self, rule: str, split: str | None) -> Iterator[Path]:
        """Yield files that a rule makes."""
        results = self._results
        if rule == "index_group" and split is not None:
            yield results.part_of_manifest(split)
        elif rule == "predict" and split is not None:
            predictions = results.prediction(split)
            yield from (predictions.predictions, predictions.made_from)
        elif rule == "train" and split is not None:
            files = results.split(split)
            yield from (files.model, files.history, files.validation)
        elif rule == "evaluate" and split is not None:
            files = results.split(split)
            yield from (files.evaluation, files.predictions)
        elif rule == "draw" and split is not None:
            yield from results.split(split).figures.parent.glob("*")
        elif rule == self._makes_rows:
            yield from (results.data, results.source)
            if results.groups.exists():
                yield results.groups
        elif rule == "index_shards":
            yield results.manifest
        elif rule == "resolve_splits":
            yield from (results.split(name).recipe for name in self._splits)
        else:
            yield from results.summary.parent.glob("*")
