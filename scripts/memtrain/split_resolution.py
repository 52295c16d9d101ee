"""From ranges and settings to recipes: every split, resolved against the data and tried out."""

import os
from collections.abc import Iterator

import torch

from memtrain.config import Configuration, TrainingSettings
from memtrain.errors import UserError, raise_problems
from memtrain.field_statistics import merge_all
from memtrain.manifest import Manifest, PieceSummary, describe_shards, first_nonfinite
from memtrain.memmap_dataset import MemmapDataset
from memtrain.named_objects import describe_exception
from memtrain.ranges import Range, count_rows
from memtrain.recipe import (
    EvaluationRecipe,
    Piece,
    Recipe,
    Rows,
    Sizes,
    Task,
    TrainingRecipe,
)
from memtrain.record_file import dtype_to_json
from memtrain.source import Source
from memtrain.training_parts import build_training_parts


def resolve_splits(
    configuration: Configuration, data: str | os.PathLike, manifest: Manifest, source: Source
) -> list[Recipe]:
    """Return the recipe of every split of a configuration.

    Args:
        configuration: with the splits and the settings.
        data: the record file.
        manifest: of that file.
        source: of that file.

    Raises:
        UserError: with everything that is wrong with any split: ranges outside the data, overlaps,
            values that are not finite, models, losses and transforms that do not fit.
    """
    resolver = _Resolver(configuration, os.fspath(data), manifest, source)
    recipes, problems = [], []
    for split in configuration.split_names:
        try:
            recipes.append(resolver.resolve(split))
        except UserError as error:
            problems.extend(error.problems)
    raise_problems(problems)
    return recipes


class _Resolver:
    """Resolves one split after the other against the same file."""

    def __init__(self, configuration: Configuration, data: str, manifest: Manifest, source: Source):
        self._configuration = configuration
        self._data, self._manifest, self._source = data, manifest, source

    def resolve(self, split: str) -> Recipe:
        train, evaluate, problems = self._configuration.ranges_of(split, self._manifest.layout.rows)
        raise_problems(problems)
        training_pieces = self._manifest.pieces(self._data, train)
        evaluation_pieces = self._manifest.pieces(self._data, evaluate)
        raise_problems(
            [
                *self._nonfinite_values(split, "training", training_pieces),
                *self._nonfinite_values(split, "evaluation", evaluation_pieces),
            ]
        )
        touched = self._manifest.touched([*train, *evaluate])
        recipe = Recipe(
            split=split,
            training=self._training(split, train, training_pieces),
            evaluation=EvaluationRecipe(
                rows=_rows(evaluate, evaluation_pieces),
                settings=self._configuration.evaluation,
                lowest_loss=self._source.lowest_loss,
                class_names=self._source.class_names,
            ),
            shards={str(number): self._manifest.shards[number].sha256 for number in touched},
        )
        rehearse(f"splits.{split}: training", recipe.training, self._data)
        return recipe

    def _training(
        self, split: str, ranges: list[Range], pieces: list[PieceSummary]
    ) -> TrainingRecipe:
        settings = self._configuration.training_of(split)
        fields = self._manifest.layout.fields
        return TrainingRecipe(
            rows=_rows(ranges, pieces),
            task=Task(
                kind=self._source.task,
                classes=self._source.classes,
                dtype=dtype_to_json(self._manifest.layout.dtype),
                features=self._source.features,
                target=self._source.target,
            ),
            statistics={
                name: merge_all([piece.statistics[name] for piece in pieces]).to_json()
                for name in fields
            },
            settings=settings,
            sizes=_sizes(f"splits.{split}", count_rows(ranges), settings),
        )

    def _nonfinite_values(self, split: str, use: str, pieces: list[PieceSummary]) -> Iterator[str]:
        """Yield a problem where rows hold NaN or infinity: how many, and where the first is."""
        damaged = [
            piece
            for piece in pieces
            if any(part.nonfinite.any() for part in piece.statistics.values())
        ]
        if not damaged:
            return
        count = sum(
            int(part.nonfinite.sum()) for piece in damaged for part in piece.statistics.values()
        )
        row, field, column = first_nonfinite(self._data, self._manifest.layout, damaged[0].rows)
        shards = self._manifest.touched([piece.rows for piece in damaged])
        yield (
            f"splits.{split}: {count} of its {use} values are NaN or infinite; the first is in "
            f"{self._data}, row {row}, field {field}, column {column} (in all: "
            f"{describe_shards(shards)}). Mend the data, or leave these rows out of the ranges."
        )


def rehearse(where: str, recipe: TrainingRecipe, data: str) -> None:
    """Try one tiny step, so that what does not fit is found before hours of training.

    Raises:
        UserError: naming the key that has to change.
    """
    random_state = torch.get_rng_state()
    try:
        parts = build_training_parts(recipe, torch.device("cpu"), where)
        dataset = MemmapDataset(data, transform=parts.transform)
        first = recipe.rows.resolved[0]
        with _blame(f"{where}.transform", "the transform does not fit the rows"):
            batch = torch.utils.data.default_collate(
                dataset.__getitems__(range(first.start, min(first.start + 2, first.end)))
            )
            features, target = batch["features"], batch["target"]
        with _blame(f"{where}.model", f"the model does not fit rows of {_shape(features)}"):
            outputs = parts.model.eval()(features)
        with _blame(f"{where}.loss", f"{parts.loss.name} does not fit the target"):
            parts.loss(outputs, target).backward()
        with _blame(f"{where}.optimizer", "the optimizer cannot take a step"):
            parts.optimizer.step()
        if parts.scheduler is not None:
            with _blame(f"{where}.scheduler", "the schedule cannot be stepped by itself"):
                parts.scheduler.step()
    finally:
        torch.set_rng_state(random_state)


class _blame:  # noqa: N801 - reads as a statement
    """Turns any exception of a block into a problem of one key."""

    def __init__(self, where: str, what: str):
        self._where, self._what = where, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise UserError(
                f"{self._where}: {self._what}: {describe_exception(error)}. Change this setting, "
                "or the columns of the dataset."
            ) from None


def _shape(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape[1:])} features of type {str(tensor.dtype).removeprefix('torch.')}"


def _rows(ranges: list[Range], pieces: list[PieceSummary]) -> Rows:
    return Rows(
        ranges=[tuple(piece) for piece in ranges],
        pieces=[
            Piece(start=piece.rows.start, end=piece.rows.end, sha256=piece.sha256)
            for piece in pieces
        ],
    )


def _sizes(where: str, rows: int, settings: TrainingSettings) -> Sizes:
    rows_per_step = settings.batch_size * settings.accumulation_steps
    whole, rest = divmod(rows, rows_per_step)
    drops = settings.last_window == "drop"
    if drops and not whole:
        raise UserError(
            f"{where}: {rows} training rows do not fill one accumulation window of "
            f"{settings.batch_size} x {settings.accumulation_steps} = {rows_per_step} rows, and "
            "`last_window: drop` drops the short one. Use `last_window: step`, or a smaller "
            "`batch_size` or `accumulation_steps`."
        )
    steps_per_epoch = whole + (1 if rest and not drops else 0)
    trained = whole * rows_per_step if drops else rows
    return Sizes(
        rows=rows,
        micro_batches_per_epoch=-(-trained // settings.batch_size),
        steps_per_epoch=steps_per_epoch,
        steps=steps_per_epoch * settings.epochs,
        rows_per_step=rows_per_step,
    )
