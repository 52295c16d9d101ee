"""Reads and writes the whole configuration."""

import os
from collections.abc import Iterator
from typing import Any

import yaml

from memtrain.config.initial import chain_problems
from memtrain.config.merging import overridden
from memtrain.config.parsing import parse_settings
from memtrain.config.predictions import prediction_problems
from memtrain.config.schema import Configuration
from memtrain.config.sweep_problems import sweep_problems
from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.system.yaml_text import read_yaml


def read_configuration(path: str | os.PathLike) -> Configuration:
    """Read a configuration from a YAML or JSON file.

    Raises:
        UserError: if the file is missing or is not YAML; or with all problems of its content. Each
            names the file.
    """
    content = read_content(path)
    try:
        return parse_configuration(content)
    except UserError as error:
        raise UserError(*(f"{path}: {problem}" for problem in error.problems)) from None


def read_content(path: str | os.PathLike) -> Any:
    """Return the content of a YAML or JSON file.

    Raises:
        UserError: if the file is missing or is not YAML.
    """
    try:
        return read_yaml(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: the configuration cannot be read (No such file or directory)."
        ) from None


def parse_configuration(content: Any) -> Configuration:
    """Return the configuration that the content of a YAML or JSON file describes.

    Raises:
        UserError: with all problems.
    """
    configuration = parse_settings(Configuration, content)
    raise_problems(problems_between_settings(configuration))
    return configuration


def problems_between_settings(configuration: Configuration) -> Iterator[str]:
    """Yield the problems of settings that are right by themselves and do not fit together."""
    yield from _merging_problems(configuration)
    yield from sweep_problems(configuration)
    yield from chain_problems(configuration.split_names, configuration.base_of)
    mock = configuration.dataset.mock
    if mock is None:
        yield from prediction_problems(configuration.predictions, configuration.split_names, None)
    else:
        # The number of generated rows is known, so ranges can be checked before anything runs.
        yield from configuration.range_problems(mock.rows)


def _merging_problems(configuration: Configuration) -> Iterator[str]:
    """Yield where a split's own training settings do not fit those of all splits."""
    for split, settings in configuration.splits.items():
        if settings.training.model_fields_set:
            merged = overridden(configuration.training.model_dump(), settings.training)
            try:
                parse_settings(TrainingSettings, merged, f"splits.{split}.training")
            except UserError as error:
                yield from error.problems


def configuration_text(configuration: Configuration) -> str:
    """Return the configuration as YAML that reads back equal, with the splits in their order."""
    return yaml.safe_dump(configuration.as_given(), sort_keys=False, allow_unicode=True)
