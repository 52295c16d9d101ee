"""Reads and writes the whole configuration."""

import os
from pathlib import Path
from typing import Any

import yaml

from memtrain.config.parsing import parse_settings
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError, raise_problems


def read_configuration(path: str | os.PathLike) -> Configuration:
    """Read a configuration from a YAML or JSON file.

    Raises:
        UserError: if the file is missing or is not YAML; or with all problems of its content.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: the configuration cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: this is not YAML. {error}") from None
    return parse_configuration(content)


def parse_configuration(content: Any) -> Configuration:
    """Return the configuration that the content of a YAML or JSON file describes.

    Raises:
        UserError: with all problems.
    """
    configuration = parse_settings(Configuration, content)
    mock = configuration.dataset.mock
    if mock is not None:
        # The number of generated rows is known, so ranges can be checked before anything runs.
        raise_problems(configuration.range_problems(mock.rows))
    return configuration


def configuration_text(configuration: Configuration) -> str:
    """Return the configuration as YAML that reads back equal, with the splits in their order."""
    return yaml.safe_dump(configuration.as_given(), sort_keys=False, allow_unicode=True)
