"""Reads what is right in a configuration that has mistakes, so that the rest is checked as well."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from memtrain.config.schema import Configuration

#: How many times keys with mistakes are left out. Where a key is missing, the mapping that lacks it
#: is left out, which may be a mistake in turn.
_MOST_ROUNDS = 5


def right_part(content: Any) -> Configuration | None:
    """Return a configuration in which keys with mistakes have their defaults.

    Args:
        content: the content of a YAML or JSON file, as Python objects.

    Returns:
        The configuration; None where too little is right.
    """
    for _ in range(_MOST_ROUNDS):
        try:
            return Configuration.model_validate(content)
        except ValidationError as error:
            for problem in error.errors(include_input=False):
                content = _without(content, problem["loc"])
    return None


def _without(content: Any, path: Sequence[str | int]) -> Any:
    """Return a mapping without the last key of a path that it has."""
    if not path or not isinstance(content, Mapping) or path[0] not in content:
        return content
    first = path[0]
    inner = _without(content[first], path[1:])
    if inner is content[first]:
        return {key: value for key, value in content.items() if key != first}
    return {key: inner if key == first else value for key, value in content.items()}
