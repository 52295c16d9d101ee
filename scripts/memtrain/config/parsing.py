"""Checks settings of any kind against their pydantic model, and reports all mistakes at once.

This module does not import the configuration as a whole, so that a script that takes a few settings
does not depend on all others.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from memtrain.config.types import Settings
from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed, shown
from memtrain.system import canonical_json
from memtrain.system.yaml_text import parse_yaml

AnySettings = TypeVar("AnySettings", bound=Settings)
JsonSchema = dict[str, Any]

#: Most characters of a key that a message shows as they are.
_LONGEST_KEY = 100


def parse_settings(model: type[AnySettings], content: Any, key: str = "") -> AnySettings:
    """Return the settings that a mapping of keys to values holds.

    Args:
        model: the class of the settings.
        content: the content of a YAML or JSON file, as Python objects.
        key: the key of the configuration that the settings stand under; "" for all of it.

    Raises:
        UserError: with all problems. Each names the path of the key, the value found and what is
            allowed; for an unknown key, also the one that was probably meant.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"settings are keys with values; found {shown(content)}.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        schema = _json_schema(model)
        problems = error.errors(include_url=False, include_context=False)
        raise UserError(*(_describe(problem, schema, key) for problem in problems)) from None


def parse_settings_text(model: type[AnySettings], text: str) -> AnySettings:
    """Return the settings that are written as YAML or JSON, for example on a command line.

    Args:
        model: the class of the settings.
        text: the settings in YAML or JSON.

    Raises:
        UserError: if the text is not YAML; or with all problems of the settings.
    """
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"the settings are not YAML: {shown(text)}. {error}") from None
    return parse_settings(model, content)


def settings_text(settings: Settings) -> str:
    """Return settings as one line of JSON, which ``parse_settings_text`` reads."""
    return canonical_json.dumps(settings.model_dump(mode="json"))


@lru_cache
def _json_schema(model: type[Settings]) -> JsonSchema:
    return model.model_json_schema()


def _describe(problem: ErrorDetails, schema: JsonSchema, key: str) -> str:
    """Return one problem as a sentence: the key, the value found, and what is allowed."""
    path = [str(part) for part in problem["loc"]]
    where = ".".join([*filter(None, [key]), *map(_shown_key, path)]) or "the configuration"
    if problem["type"] == "extra_forbidden":
        known = sorted(_schema_at(schema, path[:-1]).get("properties", {}))
        return (
            f"{where}: there is no such key (found with the value "
            f"{shown(problem['input'])}); known are {listed(known)}.{did_you_mean(path[-1], known)}"
        )
    if problem["type"] == "missing":
        return f"{where}: this key is missing and has no default.{_description(schema, path)}"
    found = shown(problem["input"])
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    end = "" if message.endswith("?") else "."
    nearest = did_you_mean(problem["input"], _schema_at(schema, path).get("enum", []))
    return f"{where}: found {found}; {message}{end}{nearest}{_description(schema, path)}"


def _shown_key(key: str) -> str:
    """Return a key of the settings as it is, or as Python code where it cannot be shown."""
    return key if key.isprintable() and len(key) <= _LONGEST_KEY else shown(key)


def _description(schema: JsonSchema, path: list[str]) -> str:
    """Return the description of a key in parentheses, or an empty string."""
    description = _schema_at(schema, path).get("description", "")
    return f" ({path[-1]}: {description})" if path and description else ""


def _schema_at(schema: JsonSchema, path: list[str]) -> JsonSchema:
    """Return the part of a JSON schema that describes a key, or an empty one."""
    part = schema
    for key in path:
        part = _resolve_reference(schema, part)
        below = part.get("properties", {}).get(key) or part.get("additionalProperties")
        if not isinstance(below, dict):
            return {}
        part = below
    described = {key: part[key] for key in ("description",) if key in part}
    return _resolve_reference(schema, part) | described


def _resolve_reference(schema: JsonSchema, part: JsonSchema) -> JsonSchema:
    """Return what a part refers to, or its first alternative that is a mapping of keys.

    A part that has neither is returned as it is.
    """
    if "$ref" in part:
        return _resolve_reference(schema, schema["$defs"][part["$ref"].rsplit("/", 1)[-1]])
    for alternative in part.get("anyOf", []):
        if "$ref" in alternative or "properties" in alternative:
            return _resolve_reference(schema, alternative)
    return part
