"""Turns a configuration into recipes: every split is resolved against the data and tried out."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

from memtrain.config.results import ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.group_borders import GroupBorders
from memtrain.core.ranges import Range, count_rows, overlaps, subtract_ranges
from memtrain.core.wording import listed
from memtrain.data.field_statistics import merge_all
from memtrain.data.files_layout import FilesLayout
from memtrain.data.manifest import Manifest
from memtrain.data.record_file import dtype_to_json
from memtrain.data.shard_summaries import PieceSummary
from memtrain.data.source import FEATURES, Source
from memtrain.loading.row_order import RowOrder, row_order
from memtrain.planning.class_count import count_classes
from memtrain.planning.dry_run import dry_run
from memtrain.planning.feature_encoding import FeatureLearner
from memtrain.planning.initial_check import initial_problems, own_result_problems
from memtrain.planning.parts_problems import PartsError, shared_problems
from memtrain.planning.shared_elements import shared_element_problems, without_shared_elements
from memtrain.planning.source_inputs import inputs_of_source
from memtrain.planning.sweep_check import check_sweep_metric
from memtrain.planning.target_check import target_problems
from memtrain.planning.validation_check import check_decisions
from memtrain.planning.validation_rows import hold_out
from memtrain.planning.value_problems import value_problems
from memtrain.recipes.declared_files import digests_of_files
from memtrain.recipes.recipe import (
    EvaluationRecipe,
    Piece,
    Recipe,
    Rows,
    ShuffleSummary,
    Sizes,
    Task,
    TrainingRecipe,
)
from memtrain.system.digests import digest_of_file

#: The uses of rows, by the keys that name them.
_USES = {"train": "training", "validate": "validation", "evaluate": "evaluation"}


def resolve_splits(
    configuration: Configuration,
    data: str | os.PathLike,
    manifest: Manifest,
    source: Source,
    withdrawn: Sequence[Range] = (),
    groups: GroupBorders | None = None,
    digest_of: Callable[[str], str] = digest_of_file,
) -> list[Recipe]:
    """Return the recipe of every split of a configuration.

    Args:
        configuration: configuration with the splits and the settings.
        data: path of the record file.
        manifest: manifest of that file.
        source: source of that file.
        withdrawn: rows that no training and no evaluation may use.
        groups: borders between groups of rows, which no range cuts; None where rows have none.
        digest_of: returns the digest of a file that trainings read besides the rows.

    Raises:
        UserError: with all problems of all splits: ranges outside the data, overlaps, values that
            are not finite, and models, losses and transforms that do not fit.
    """
    resolver = _Resolver(
        configuration=configuration,
        data=os.fspath(data),
        manifest=manifest,
        source=source,
        withdrawn=withdrawn,
        groups=groups,
        digest_of=digest_of,
    )
    recipes: list[Recipe] = []
    problems: list[str] = []
    problems_of_parts: dict[str, Sequence[str]] = {}
    for split in configuration.split_names:
        try:
            recipe = resolver.resolve(split)
            check_sweep_metric(configuration, recipe, os.fspath(data))
            recipes.append(recipe)
        except PartsError as error:
            problems_of_parts[split] = error.problems
        except UserError as error:
            problems.extend(error.problems)
    problems.extend(initial_problems(recipes, manifest.layout))
    # Too many folds, for example, are a problem of every fold, told once.
    raise_problems([*dict.fromkeys(problems), *shared_problems(problems_of_parts)])
    return recipes


class _Resolver:
    """Resolves splits, one after the other, against the same record file."""

    def __init__(
        self,
        *,
        configuration: Configuration,
        data: str,
        manifest: Manifest,
        source: Source,
        withdrawn: Sequence[Range],
        groups: GroupBorders | None,
        digest_of: Callable[[str], str],
    ):
        self._configuration = configuration
        self._data = data
        self._manifest = manifest
        self._source = source
        self._withdrawn = withdrawn
        self._groups = groups
        self._digest_of = cache(digest_of)
        self._learner = FeatureLearner(data, manifest.layout, source)

    def resolve(self, split: str) -> Recipe:
        """Return the recipe of a split.

        Raises:
            UserError: with the problems of the split.
        """
        ranges = self._configuration.resolve_ranges(split, self._manifest.layout.rows, self._groups)
        raise_problems(ranges.problems)
        settings = self._configuration.training_settings(split)
        used = {"train": ranges.train, "validate": ranges.validate, "evaluate": ranges.evaluate}
        if settings.validation and not ranges.validate:
            used["train"], used["validate"] = hold_out(
                f"splits.{split}", ranges.train, settings.validation, settings.seed, self._groups
            )
            used["train"] = without_shared_elements(
                f"splits.{split}", self._manifest.layout, used["train"], used["validate"]
            )
        used = {use: part for use, part in used.items() if part}
        configured = [one for part in used.values() for one in part]
        left_out = sorted({*overlaps(configured, self._withdrawn)})
        rows = {use: subtract_ranges(part, self._withdrawn) for use, part in used.items()}
        raise_problems(_empty_ranges(split, rows))
        raise_problems(self._shared_elements(split, rows))
        pieces = {use: self._manifest.pieces(self._data, part) for use, part in rows.items()}
        uses = {_USES[use]: part for use, part in pieces.items()}
        resolved = [one for part in rows.values() for one in part]
        touched = self._manifest.touched_shards(resolved)
        order = self._order(split, rows["train"])
        training = self._training(split, rows, pieces, order)
        raise_problems(
            value_problems(
                f"splits.{split}",
                training,
                uses,
                data=self._data,
                manifest=self._manifest,
                source=self._source,
            )
        )
        if self._source.task == "regression":
            raise_problems(target_problems(split, settings, uses))
        resource_estimate = dry_run("training", training, self._data)
        check_decisions(f"splits.{split}", training, self._data)
        self._check_own_metrics(training)
        return Recipe(
            split=split,
            training=training,
            evaluation=(
                self._evaluation(rows["evaluate"], pieces["evaluate"])
                if "evaluate" in rows
                else None
            ),
            shuffle=_shuffle_summary(order, self._source.in_random_order),
            resource_estimate=resource_estimate,
            shards={str(number): self._manifest.shards[number].digest for number in touched},
            rows_per_shard=self._manifest.rows_per_shard,
            shard_sections=list(self._manifest.grid.around(resolved).sections),
            withdrawn=[(rows.start, rows.end) for rows in left_out],
            unknown_words=self._learner.unknown_words(training.encoding, rows.get("evaluate", [])),
            inputs=inputs_of_source(self._source),
        )

    def _shared_elements(self, split: str, rows: Mapping[str, list[Range]]) -> Iterator[str]:
        configured = self._configuration.named_split(split)
        if configured is None or not configured.allow_overlap:
            yield from shared_element_problems(f"splits.{split}", self._manifest.layout, rows)

    @cached_property
    def _classes(self) -> int | None:
        return count_classes(self._source, self._manifest)

    def _evaluation(self, ranges: list[Range], pieces: list[PieceSummary]) -> EvaluationRecipe:
        return EvaluationRecipe(
            rows=_rows(ranges, pieces),
            settings=self._configuration.evaluation,
            lowest_loss=self._source.lowest_loss,
            class_names=self._source.class_names,
        )

    def _check_own_metrics(self, training: TrainingRecipe) -> None:
        """Raise a ``UserError`` where metrics of the user's own would find no predictions."""
        own = self._configuration.evaluation.metrics
        if own and training.has_sequences:
            raise UserError(
                f"evaluation.metrics: found {listed(own)}, but a row has several elements, each of "
                "a class, whose predictions are not kept: they would take many times the space of "
                "the rows. Remove these metrics."
            )

    def _order(self, split: str, ranges: list[Range]) -> RowOrder:
        settings = self._configuration.training_settings(split)
        return row_order(
            ranges,
            row_bytes=self._row_bytes(ranges),
            batch_size=settings.batch_size,
            accumulation_steps=settings.accumulation_steps,
            shuffle=settings.shuffle,
            seed=settings.seed,
        )

    def _row_bytes(self, ranges: list[Range]) -> int:
        """Return the size of a row in the files; the mean of these rows where they vary."""
        layout = self._manifest.layout
        if isinstance(layout, FilesLayout) and layout.ragged:
            return -(-layout.bytes_of(ranges) // count_rows(ranges))
        return layout.row_bytes

    def _task(self, features: list[str], ranges: list[Range]) -> Task:
        layout, row_bytes = self._manifest.layout, self._row_bytes(ranges)
        return Task(
            kind=self._source.task,
            classes=self._classes,
            dtype=dtype_to_json(layout.view_dtype),
            features=features,
            target=self._source.target,
            row_bytes=None if row_bytes == layout.view_dtype.itemsize else row_bytes,
            ragged=list(layout.ragged) if isinstance(layout, FilesLayout) else [],
        )

    def _training(
        self,
        split: str,
        rows: Mapping[str, list[Range]],
        pieces: Mapping[str, list[PieceSummary]],
        order: RowOrder,
    ) -> TrainingRecipe:
        settings = self._configuration.training_settings(split)
        results = ResultsLayout(Path(self._data).parent)
        raise_problems(own_result_problems(f"splits.{split}.training", settings, results))
        statistics = {
            name: merge_all([piece.statistics[name] for piece in pieces["train"]])
            for name in self._manifest.layout.fields
        }
        features = self._learner.learn(f"splits.{split}", settings, rows["train"], statistics)
        others = {name: one for name, one in statistics.items() if not name.startswith(FEATURES)}
        of_features = statistics[FEATURES] if features.encoding is None else features.statistics
        return TrainingRecipe(
            rows=_rows(rows["train"], pieces["train"]),
            task=self._task(features.names, rows["train"]),
            statistics={
                name: one.to_json() for name, one in {FEATURES: of_features, **others}.items()
            },
            encoding=features.encoding,
            fills=features.fills,
            settings=settings,
            sizes=_sizes(f"splits.{split}", order, settings, validates="validate" in rows),
            validation=_rows(rows["validate"], pieces["validate"]) if "validate" in rows else None,
            files=digests_of_files(f"splits.{split}.training", settings.files, self._digest_of),
        )


def _empty_ranges(split: str, left: Mapping[str, list[Range]]) -> Iterator[str]:
    """Yield a problem for each use of a split that has no rows left.

    Args:
        split: name of the split.
        left: rows that are left, by the key that names them.
    """
    for key, ranges in left.items():
        if not ranges:
            remedy = "the split" if key == "train" else f"`{key}`"
            yield (
                f"splits.{split}.{key}: all of its rows are withdrawn. Give it other rows, or "
                f"remove {remedy}."
            )


def _rows(ranges: list[Range], pieces: list[PieceSummary]) -> Rows:
    return Rows(
        ranges=[(rows.start, rows.end) for rows in ranges],
        pieces=[
            Piece(start=piece.rows.start, end=piece.rows.end, digest=piece.digest)
            for piece in pieces
        ],
    )


def _shuffle_summary(order: RowOrder, in_random_order: bool) -> ShuffleSummary:
    return ShuffleSummary(
        rows_per_block=order.rows_per_block,
        blocks_per_buffer=order.blocks_per_buffer,
        permutes_all_rows=order.in_one_buffer,
        in_random_order=in_random_order,
        batch_variance=1.0 if in_random_order else order.batch_variance,
    )


def _sizes(where: str, order: RowOrder, settings: TrainingSettings, *, validates: bool) -> Sizes:
    """Return the sizes that follow from rows and settings.

    Raises:
        UserError: if the training would have no step.
    """
    rows_per_step = order.rows_per_window
    drops = settings.last_window == "drop"
    if drops and not order.full_windows:
        raise UserError(
            f"{where}: {order.rows} training rows do not fill one accumulation window of "
            f"{settings.batch_size} x {settings.accumulation_steps} = {rows_per_step} rows, and "
            "`last_window: drop` drops the short one. Use `last_window: step`, or a smaller "
            "`batch_size` or `accumulation_steps`."
        )
    steps_per_epoch = order.full_windows if drops else order.windows
    return Sizes(
        rows=order.rows,
        micro_batches_per_epoch=order.micro_batches(windows=steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        steps=steps_per_epoch * settings.epochs,
        rows_per_step=rows_per_step,
        steps_per_validation=settings.validate_every.in_steps(steps_per_epoch) if validates else 0,
    )
