"""Finds mistakes in models, losses, optimizers and the like before there are any rows.

An import may take hours. What can be known before it is told before it: names, paths of imports,
arguments, and whether the loss fits the target. Whether the model fits the rows is known later,
when the splits are resolved.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ValidationError

from memtrain.components.build import build_training_parts
from memtrain.components.models import StandIn, check_model
from memtrain.config.dataset import DatasetSettings, ImportSettings
from memtrain.config.files import FilesSettings
from memtrain.config.objects import import_object
from memtrain.config.parsing import parse_settings
from memtrain.config.reading import problems_between_settings
from memtrain.config.right_part import right_part
from memtrain.config.schema import Configuration
from memtrain.config.training import TrainingSettings
from memtrain.config.types import Choice
from memtrain.core.errors import UserError, attempt
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.record_file import dtype_to_json, record_dtype
from memtrain.data.tables.chosen_columns import ChosenColumns
from memtrain.planning.parts_problems import shared_problems
from memtrain.recipes.declared_files import digests_of_files
from memtrain.recipes.recipe import Rows, Sizes, Task, TrainingRecipe
from memtrain.system import canonical_json

#: The settings that are checked; splits that agree in them are checked once.
_PARTS = ("model", "transform", "loss", "optimizer", "scheduler", "hooks", "freeze")

#: Endings of files whose columns have one number a row.
_FLAT_FILES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".zip")


@dataclass(frozen=True)
class ExpectedRows:
    """What the settings of a dataset say of its rows, before there are any.

    Attributes:
        features: number of values in the features of a row; None where the files decide.
        target: names of the target columns.
        kind: whether the target is a number or a class; None where the files decide.
        classes: number of classes; None for numbers, and where the files decide.
        is_validated: whether the model is validated while it trains.
    """

    features: int | None
    target: list[str]
    kind: Literal["regression", "classification"] | None
    classes: int | None = None
    is_validated: bool = False

    @property
    def have_known_sizes(self) -> bool:
        """Whether the sizes are known that a model may take as arguments."""
        return self.features is not None and (self.kind == "regression" or bool(self.classes))

    @classmethod
    def of(cls, dataset: DatasetSettings) -> "ExpectedRows":
        """Return what is known of the rows of a dataset.

        Raises:
            UserError: if the columns of an import do not fit together.
        """
        if dataset.mock is not None:
            classes = dataset.mock.classes
            return cls(dataset.mock.features, ["y"], _kind(bool(classes)), classes)
        if dataset.files is not None:
            return cls(None, ["y"], _kind_in_files(dataset.files), dataset.files.classes)
        assert dataset.import_ is not None
        return _imported_rows(dataset.import_)

    def recipe(self, settings: TrainingSettings) -> TrainingRecipe:
        """Return the recipe of a training on one such row; what is not known is made up."""
        assert self.kind is not None
        features = self.features or 1
        is_class = self.kind == "classification"
        dtype = record_dtype(
            features=("<f4", features),
            target=("<i8" if is_class else "<f4", len(self.target)),
        )
        row = np.zeros((1, features), np.float32)
        labels = np.arange(self.classes or 2)[:, np.newaxis]
        targets = labels if is_class else np.tile(labels.astype(np.float32), len(self.target))
        return TrainingRecipe(
            rows=Rows(ranges=[(0, 1)], pieces=[]),
            task=Task(
                kind=self.kind,
                classes=(self.classes or 2) if is_class else None,
                dtype=dtype_to_json(dtype),
                features=[f"x{number}" for number in range(features)],
                target=self.target,
            ),
            statistics={
                "features": FieldStatistics.from_rows(row).to_json(),
                "target": FieldStatistics.from_rows(targets).to_json(),
            },
            settings=settings,
            validation=Rows(ranges=[(0, 1)], pieces=[]) if self.is_validated else None,
            # The steps are not known.
            sizes=Sizes(
                rows=1, micro_batches_per_epoch=0, steps_per_epoch=0, steps=0, rows_per_step=0
            ),
        )


def all_problems(content: Any) -> list[str]:
    """Return every mistake in a configuration that can be known before there are rows.

    Args:
        content: the content of a YAML or JSON file, as Python objects.
    """
    problems: list[str] = []
    # What is right is checked further, even where other settings are mistaken.
    configuration = attempt(problems, parse_settings, Configuration, content) or right_part(content)
    if configuration:
        problems.extend(problems_between_settings(configuration))
        problems.extend(component_problems(configuration))
        for name, path in configuration.evaluation.metrics.items():
            attempt(problems, import_object, f"evaluation.metrics.{name}", path)
    return problems


def component_problems(configuration: Configuration) -> list[str]:
    """Return the mistakes in what the trainings of a configuration name, each with its splits."""
    try:
        rows = ExpectedRows.of(configuration.dataset)
    except UserError as error:
        # The loss cannot be compared with the target; everything else is checked all the same.
        problems = [f"dataset.import.{problem}" for problem in error.problems]
        rows = ExpectedRows(None, ["y"], "regression")
    else:
        problems = []
    checked: dict[str, list[str]] = {}
    by_split: dict[str, list[str]] = {}
    for split in configuration.split_names:
        try:
            settings = configuration.training_settings(split)
        except ValidationError:  # told as a problem between settings
            continue
        own = configuration.named_split(split)
        is_validated = settings.validation is not None or bool(own and own.validate_)
        chosen = settings.model_dump(mode="json", include=set(_PARTS))
        key = canonical_json.dumps(chosen | {"is_validated": is_validated})
        if key not in checked:
            expected = replace(rows, is_validated=is_validated)
            checked[key] = _problems_of_training(settings, expected)
        by_split[split] = checked[key]
        # They are there, or not; what they hold is for later.
        attempt(problems, digests_of_files, f"splits.{split}.training", settings.files, str)
    return [*problems, *shared_problems(by_split)]


def _problems_of_training(settings: TrainingSettings, rows: ExpectedRows) -> list[str]:
    if rows.kind is None:
        # The files decide; what would be wrong with either kind of target is wrong.
        kinds = [replace(rows, kind=kind) for kind in ("regression", "classification")]
        as_numbers, as_classes = (_problems_of_training(settings, one) for one in kinds)
        return [problem for problem in as_numbers if problem in as_classes]
    problems: list[str] = []
    if not rows.have_known_sizes and ":" in settings.model.name:
        attempt(problems, check_model, "training.model", settings.model)
        stand_in = Choice(name=f"{StandIn.__module__}:{StandIn.__name__}")
        settings = settings.model_copy(update={"model": stand_in})
    recipe = rows.recipe(settings)
    attempt(problems, build_training_parts, recipe, torch.device("cpu"))
    return problems


def _imported_rows(settings: ImportSettings) -> ExpectedRows:
    named = settings.named_part()
    is_all_named = len(named.features) == len(settings.features)
    if not named.target:  # Which columns are meant is known once the files are opened.
        named = named.model_copy(update={"target": ["target"]})
    is_class = ChosenColumns.from_settings(named).target[0].classes is not None
    is_declared = named.declared_type(named.target[0]) is not None
    paths = settings.path if isinstance(settings.path, str) else settings.path.features
    targets = settings.path if isinstance(settings.path, str) else settings.path.target
    is_text = targets.lower().endswith(_FLAT_FILES)
    is_flat = paths.lower().endswith(_FLAT_FILES) and is_all_named
    categories = set(named.categories) & set(named.features)
    has_categories = bool(categories) or len(named.categories) < len(settings.categories)
    return ExpectedRows(
        features=len(named.features) if is_flat and not has_categories else None,
        target=named.target,
        kind=_kind(is_class) if is_class or is_declared or is_text else None,
    )


def _kind_in_files(settings: FilesSettings) -> Literal["regression", "classification"] | None:
    return "classification" if settings.classes is not None else settings.task


def _kind(is_class: bool) -> Literal["regression", "classification"]:
    return "classification" if is_class else "regression"
