"""All splits of a dataset side by side: trainings, metrics, and the resources that they took."""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memtrain.config.results import ResultsLayout, SplitLayout, split_benchmark
from memtrain.config.schema import Configuration
from memtrain.config.sweep import SweepSettings
from memtrain.config.sweep_names import labels_of_keys
from memtrain.core.errors import UserError, raise_problems
from memtrain.evaluation.result import Evaluation
from memtrain.recipes.recipe import Recipe, TaskKind
from memtrain.reporting.job_benchmark import JobBenchmark
from memtrain.reporting.sweep_results import (
    SweepResults,
    SweptTraining,
    differing_keys,
    flat_settings,
    value_of,
    with_configured_base,
)
from memtrain.training.history import read_history
from memtrain.training.performance import Performance
from memtrain.workflow.leftovers import unconfigured_splits
from memtrain.workflow.unfinished_run import UnfinishedRun


@dataclass(frozen=True)
class SplitSummary:
    """What the summary shows of one split.

    Attributes:
        name: the name of the split.
        rows_trained: the number of training rows.
        steps: the number of optimizer steps.
        resamples: the number of resamples that the standard errors come from.
        batch_variance: the variance of the mean of a batch, divided by its variance under a uniform
            shuffle.
        evaluation: the evaluation of the model; None where the split has no rows to evaluate on.
        performance: the time, speed and memory of the training; None where they are not known.
        job: the resources that the training requested and used as a job.
        group: the split that a training of a sweep belongs to; "folds" for a fold.
        settings: the settings of the training, by their full keys.
    """

    name: str
    rows_trained: int
    steps: int
    resamples: int
    batch_variance: float
    evaluation: Evaluation | None
    performance: Performance | None
    job: JobBenchmark
    group: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls, files: SplitLayout, benchmark: Path | None = None, group: str = ""
    ) -> "SplitSummary":
        """Read the files of a split.

        Args:
            files: the files of the split.
            benchmark: Snakemake's benchmark of the training; None where there is none.
            group: the split that a training of a sweep belongs to; "folds" for a fold.

        Raises:
            UserError: if a file is missing or damaged, or was made with another recipe.
        """
        recipe = Recipe.read(files.recipe)
        evaluation, resamples = None, 0
        if recipe.evaluation is not None:
            evaluation = Evaluation.read(files.evaluation)
            evaluation.check_recipe(recipe, files.evaluation)
            resamples = recipe.evaluation.settings.bootstrap
        performance = Performance.read(files.performance)
        job = JobBenchmark.read(benchmark) if benchmark else JobBenchmark()
        if performance:
            job = job.with_memory_of_training(performance.peak_memory_bytes)
        return cls(
            name=recipe.split,
            rows_trained=recipe.training.rows.count,
            steps=evaluation.steps if evaluation else read_history(files.history).steps,
            resamples=resamples,
            batch_variance=recipe.shuffle.batch_variance,
            evaluation=evaluation,
            performance=performance,
            job=job,
            group=group,
            settings=flat_settings(recipe.training.settings.model_dump(mode="json")),
        )


class TaskSummary:
    """The evaluations of the splits of one task, which have metrics in common.

    Args:
        splits: the splits of the task that are evaluated, at least one.
        folds: the names of the splits that are folds of a cross-validation.
        sweep: the trainings as those of a sweep; None without one.

    Attributes:
        sweep: as given.
        evaluations: the evaluations, in the order of the splits; of a sweep, the best first.
        task: the kind of task.
        resamples: the number of resamples that the standard errors come from.
        labels: what people call the metrics, by their names. Losses of one task may differ in the
            metrics that apply.
        main_metric: the name of the metric by which splits are compared.
    """

    def __init__(
        self,
        splits: Sequence[SplitSummary],
        folds: Sequence[str] = (),
        sweep: SweepResults | None = None,
    ):
        self.sweep = sweep
        self.evaluations = [one.evaluation for one in splits if one.evaluation is not None]
        if sweep is not None:
            self.evaluations = [one.evaluation for one in sweep.trainings]
        self.task: TaskKind = self.evaluations[0].task
        self.resamples = max(one.resamples for one in splits)
        self.labels = {
            name: label for one in self.evaluations for name, label in one.labels.items()
        }
        self.main_metric = self.evaluations[0].main_metric
        if self.sweep is not None:
            self.main_metric = self.sweep.metric
            self.labels.setdefault(self.main_metric, self.main_metric)
        self._folds = folds

    @property
    def best(self) -> Evaluation | None:
        """The evaluation with the best main metric, the first of equals.

        None if all are undefined, or if that model is worse than its baseline: nobody should take
        such a model for a good one.
        """
        best = self._best_by_merit if self.sweep is None else self.sweep.best
        return None if best is not None and best.is_worse_than_baseline else best

    @property
    def _best_by_merit(self) -> Evaluation | None:
        best, best_merit = None, float("-inf")
        for one in self.evaluations:
            if one.merit is not None and (best is None or one.merit > best_merit):
                best, best_merit = one, one.merit
        return best

    @property
    def worse_than_baseline(self) -> list[str]:
        """The names of the splits whose models are worse than their baselines."""
        return [one.split for one in self.evaluations if one.is_worse_than_baseline]

    @property
    def folds_told(self) -> str | None:
        """The folds of a cross-validation in words; None without one."""
        found = [one for one in self.evaluations if one.split in self._folds]
        if len(found) < 2:
            return None
        is_all = len(found) == len(self._folds)
        return "the folds" if is_all else f"{len(found):,} of the {len(self._folds):,} folds"

    def over_folds(self, metric: str) -> tuple[float, float] | None:
        """Return mean and standard deviation of a metric over the folds of a cross-validation.

        The standard deviation is that of a sample (divided by the number of folds less one). None
        where there are no two folds, or the metric is undefined for one of them.
        """
        found = [value_of(one, metric) for one in self.evaluations if one.split in self._folds]
        values = [value for value in found if value is not None]
        if len(found) < 2 or len(values) < len(found):
            return None
        return statistics.mean(values), statistics.stdev(values)


class Summary:
    """The splits of a dataset, in the order of the configuration.

    Args:
        dataset: the name of the dataset.
        splits: the splits, at least one.
        unconfigured: the splits that have results, but are not configured any more.
        folds: the names of the splits that are folds of a cross-validation.
        sweep: the settings of the sweep; None without one.
        unfinished: the run that left splits unfinished; None where all are finished.
        left_out: the names of the splits that are not finished.
    """

    def __init__(
        self,
        dataset: str,
        splits: Sequence[SplitSummary],
        unconfigured: Sequence[str] = (),
        folds: Sequence[str] = (),
        sweep: SweepSettings | None = None,
        unfinished: UnfinishedRun | None = None,
        left_out: Sequence[str] = (),
    ):
        self.unfinished = unfinished
        self.left_out = list(left_out)
        self.dataset = dataset
        self.folds = list(folds)
        self.unconfigured = list(unconfigured)
        self.splits = list(splits)
        self.sweep = sweep

    @classmethod
    def read(
        cls,
        configuration: Configuration,
        folder: str | os.PathLike,
        benchmarks: str | os.PathLike | None = None,
        unfinished: UnfinishedRun | None = None,
    ) -> "Summary":
        """Read what train and evaluate have written for every split of a configuration.

        Args:
            configuration: the configuration that names the splits.
            folder: the folder that holds a folder for every split.
            benchmarks: the folder of Snakemake's benchmarks; None where there are none.
            unfinished: the run that left splits unfinished, which are not read; None where all are
                finished.

        Raises:
            UserError: if files are missing or damaged; it names all of them.
        """
        splits: list[SplitSummary] = []
        problems: list[str] = []
        folds = configuration.folds.names if configuration.folds else []
        swept = {name: one.base for name, one in configuration.trainings.items() if one.settings}
        left_out = [] if unfinished is None else unfinished.not_finished(configuration.split_names)
        for name, planned in configuration.trainings.items():
            if name in left_out:
                continue
            benchmark = split_benchmark(benchmarks, "train", name) if benchmarks else None
            group = "folds" if planned.base in folds else planned.base
            try:
                split = SplitSummary.read(SplitLayout(Path(folder, name)), benchmark, group)
                settings = with_configured_base(split.settings, swept)
                splits.append(replace(split, settings=settings))
            except UserError as error:
                problems.extend(error.problems)
        raise_problems(problems)
        results = ResultsLayout(Path(folder).parent)
        others = unconfigured_splits(results, configuration.split_names)
        return cls(
            configuration.dataset.name,
            splits,
            others,
            configuration.fold_names,
            configuration.sweep,
            unfinished,
            left_out,
        )

    @property
    def setting_labels(self) -> dict[str, str]:
        """The labels of the settings that differ between splits, by full keys.

        There are none without a sweep.
        """
        if self.sweep is None:
            return {}
        return labels_of_keys(
            differing_keys([one.settings for one in self.splits], self.sweep.keys)
        )

    @property
    def names(self) -> list[str]:
        """The names of all splits, those that are not finished last."""
        return [*(split.name for split in self.splits), *self.left_out]

    @property
    def not_evaluated(self) -> list[str]:
        """The names of the splits that have no rows to evaluate on."""
        return [split.name for split in self.splits if split.evaluation is None]

    @property
    def tasks(self) -> list[TaskSummary]:
        """The evaluations of each task, in the order of their first splits."""
        by_task: dict[TaskKind, list[SplitSummary]] = {}
        for split in self.splits:
            if split.evaluation is not None:
                by_task.setdefault(split.evaluation.task, []).append(split)
        return [
            TaskSummary(splits, self.folds, self._sweep_results(splits))
            for splits in by_task.values()
        ]

    def _sweep_results(self, splits: Sequence[SplitSummary]) -> SweepResults | None:
        if self.sweep is None:
            return None
        keys = list(self.setting_labels)
        trainings = [
            SweptTraining(one.group, {key: one.settings.get(key) for key in keys}, one.evaluation)
            for one in splits
            if one.evaluation is not None
        ]
        return SweepResults(trainings, self.sweep)
