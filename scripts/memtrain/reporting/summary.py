"""All splits side by side: what they were trained on, how good they are, what they took."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memtrain.config.results import SplitLayout, split_benchmark
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError, raise_problems
from memtrain.evaluation.result import Evaluation
from memtrain.recipes.recipe import Recipe
from memtrain.system.atomic_files import write_text
from memtrain.training.performance import Performance
from memtrain.workflow.job_benchmark import JobBenchmark

_MIB = 1 << 20


@dataclass(frozen=True)
class SplitSummary:
    """One split.

    Attributes:
        rows_trained: how many rows it was trained on.
        resamples: behind its standard errors.
        evaluation: of its model.
        seconds: of its training.
        rows_per_second: of its training.
        peak_memory_bytes: of its training.
        batch_variance: of its shuffle, against a uniform one.
        job: what its training asked for and used, as a job.
    """

    rows_trained: int
    resamples: int
    evaluation: Evaluation
    seconds: float
    rows_per_second: float
    peak_memory_bytes: int
    batch_variance: float
    job: JobBenchmark

    @classmethod
    def read(cls, files: SplitLayout, benchmark: Path | None = None) -> "SplitSummary":
        """Read the files of a split, and the benchmark of its training if there is one.

        Raises:
            UserError: where one is missing, damaged, or of another recipe.
        """
        recipe = Recipe.read(files.recipe)
        evaluation = Evaluation.read(files.evaluation)
        evaluation.check_recipe(recipe, files.evaluation)
        performance = Performance.read(files.performance)
        return cls(
            rows_trained=recipe.training.rows.count,
            resamples=recipe.evaluation.settings.bootstrap,
            batch_variance=recipe.shuffle.batch_variance,
            evaluation=evaluation,
            job=JobBenchmark.read(benchmark) if benchmark else JobBenchmark(),
            seconds=performance.seconds,
            rows_per_second=performance.rows_per_second,
            peak_memory_bytes=performance.peak_memory_bytes,
        )


class Summary:
    """The splits of a dataset, in the order of the configuration.

    Args:
        dataset: its name.
        splits: at least one. Metrics are those of the first one's task; see ``by_task``.
    """

    def __init__(self, dataset: str, splits: Sequence[SplitSummary]):
        self.dataset, self.splits = dataset, list(splits)
        self.labels = splits[0].evaluation.labels
        self.main_metric = splits[0].evaluation.main_metric

    @classmethod
    def read(
        cls,
        configuration: Configuration,
        folder: str | os.PathLike,
        benchmarks: str | os.PathLike | None = None,
    ) -> "Summary":
        """Read what train and evaluate have written for every split of a configuration.

        Args:
            configuration: that names the splits.
            folder: with a folder for every split.
            benchmarks: with a file ``train/<split>.jsonl`` for every split, as far as there are.

        Raises:
            UserError: with all files that are missing or damaged.
        """
        splits, problems = [], []
        for name in configuration.split_names:
            benchmark = split_benchmark(benchmarks, "train", name) if benchmarks else None
            try:
                splits.append(SplitSummary.read(SplitLayout(Path(folder, name)), benchmark))
            except UserError as error:
                problems.extend(error.problems)
        raise_problems(problems)
        return cls(configuration.dataset.name, splits)

    @property
    def by_task(self) -> list["Summary"]:
        """The splits of every task as a summary of their own, in the order of the first of each."""
        tasks = dict.fromkeys(split.evaluation.task for split in self.splits)
        return [
            Summary(self.dataset, [part for part in self.splits if part.evaluation.task == task])
            for task in tasks
        ]

    @property
    def best(self) -> SplitSummary | None:
        """The split with the best main metric, the first of several; None where all fail."""
        sound = [part for part in self.splits if part.evaluation.merit is not None]
        return max(sound, key=lambda part: part.evaluation.merit, default=None)

    def write_csv(self, path: str | os.PathLike) -> None:
        """Write a line a split and a value a column, in full precision; nothing for null."""
        text = io.StringIO()
        columns = list(_values(self.splits[0]))
        for group in self.by_task[1:]:
            columns += [name for name in _values(group.splits[0]) if name not in columns]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(_values, self.splits))
        write_text(path, text.getvalue())


def _values(split: SplitSummary) -> dict[str, object]:
    """Return a split as one line of the CSV file, by column."""
    evaluation = split.evaluation
    values = {
        "split": evaluation.split,
        "rows_trained": split.rows_trained,
        "rows_evaluated": evaluation.rows,
        "steps": evaluation.steps,
        "parameters": evaluation.parameters,
    }
    for metric in evaluation.labels:
        values[metric] = evaluation.metrics[metric]
        values[f"{metric}_error"] = evaluation.errors[metric]
    values |= {f"baseline_{metric}": evaluation.baseline[metric] for metric in evaluation.labels}
    return values | {
        "loss": evaluation.loss,
        "ratio_to_lowest_loss": evaluation.ratio_to_lowest_loss,
        "seconds": split.seconds,
        "rows_per_second": split.rows_per_second,
        "peak_memory_mib": split.peak_memory_bytes / _MIB,
        "asked_memory_mb": split.job.asked_mb,
        "used_memory_mb": split.job.used_mb,
        "asked_minutes": split.job.asked_minutes,
        "used_minutes": None if split.job.seconds is None else split.job.seconds / 60,
        "batch_variance": split.batch_variance,
    }
