"""Reads a configuration and tells all of its mistakes at once."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from memtrain.config.schema import Configuration
from memtrain.config.types import Settings
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import did_you_mean, listed


def read_configuration(path: str | os.PathLike) -> Configuration:
    """Read a YAML or JSON file.

    Raises:
        UserError: where the file is missing or is not YAML, or with everything that is wrong in it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: the configuration cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: this is not YAML. {error}") from None
    return parse_configuration(content)


def parse_configuration(content: Any) -> Configuration:
    """Check the content of a configuration file.

    Raises:
        UserError: with all problems; each names the key's path, the value found, what is allowed,
            and for an unknown key the one that was probably meant.
    """
    configuration = parse_settings(Configuration, content)
    mock = configuration.dataset.mock
    if mock is not None:
        # The number of rows is known, so that ranges can be checked before anything runs.
        raise_problems(range_problems(configuration, mock.rows))
    return configuration


def range_problems(configuration: Configuration, rows: int) -> Iterator[str]:
    """Yield what is wrong with the ranges of all splits in a file of ``rows`` rows."""
    for split in configuration.split_names:
        yield from configuration.ranges_of(split, rows)[2]


def parse_settings(model: type[Settings], content: Any) -> Settings:
    """Check settings against their model.

    Raises:
        UserError: with all problems.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"settings are keys with values; found {content!r}.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        schema = model.model_json_schema()
        raise UserError(*(_describe(problem, schema) for problem in error.errors())) from None


def parse_settings_text(model: type[Settings], text: str) -> Settings:
    """Check settings that are written as YAML or JSON on a command line."""
    try:
        return parse_settings(model, yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise UserError(f"the settings are not YAML: {text!r}. {error}") from None


def configuration_text(configuration: Configuration) -> str:
    """Return a configuration as YAML that reads back as the same, its splits in their order."""
    return yaml.safe_dump(configuration.as_given(), sort_keys=False, allow_unicode=True)


def config_schema() -> str:
    """Return the JSON schema of the configuration, as it stands in ``schemas/``."""
    schema = Configuration.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2) + "\n"


def _describe(problem: Mapping[str, Any], schema: dict[str, Any]) -> str:
    """Return one problem as a sentence: where, what was found, what is allowed."""
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path) or "the configuration"
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = sorted(_at(schema, path[:-1]).get("properties", {}))
        return (
            f"{where}: there is no such key (found with the value {problem['input']!r}); known are "
            f"{listed(known)}.{did_you_mean(path[-1], known)}{_belongs_elsewhere(path)}"
        )
    if kind == "missing":
        return f"{where}: this key is missing and has no default.{_about(schema, path)}"
    found = repr(problem["input"])
    found = found if len(found) <= 200 else found[:200] + " ..."
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    nearest = did_you_mean(problem["input"], _at(schema, path).get("enum", []))
    end = "" if message.endswith("?") else "."
    return (
        f"{where}: found {found}; {message}{end}{nearest}{_belongs_elsewhere(path)}"
        f"{_about(schema, path)}"
    )


def _belongs_elsewhere(path: list[str]) -> str:
    if path == ["splits", "folds"]:
        return " For a cross-validation, write `folds: N` in place of `splits`."
    return ""


def _about(schema: dict[str, Any], path: list[str]) -> str:
    description = _at(schema, path).get("description", "")
    return f" ({path[-1]}: {description})" if path and description else ""


def _at(schema: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return the part of a JSON schema that speaks about a key, or an empty one."""
    part = schema
    for key in path:
        part = _resolved(schema, part)
        part = part.get("properties", {}).get(key) or part.get("additionalProperties")
        if not isinstance(part, dict):
            return {}
    return _resolved(schema, part) | {key: part[key] for key in ("description",) if key in part}


def _resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and the first alternative that is not null."""
    if "$ref" in part:
        return _resolved(schema, schema["$defs"][part["$ref"].rsplit("/", 1)[-1]])
    for alternative in part.get("anyOf", []):
        if "$ref" in alternative or "properties" in alternative:
            return _resolved(schema, alternative)
    return part
