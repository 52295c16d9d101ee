"""YAML without its traps: nothing is dropped, turned into a date, or multiplied without a word."""

import os
from typing import Any

import yaml

from memtrain.core.errors import UserError
from memtrain.core.wording import shown
from memtrain.system.file_content import read_content_of_file

#: Values that a text may stand for once its aliases are replaced by what they stand for.
MOST_VALUES = 1_000_000

_DATE = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: str | os.PathLike) -> Any:
    """Return the content of a YAML or JSON file.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if it cannot be read, or for what ``parse_yaml`` refuses; it names the file.
    """
    try:
        return parse_yaml(read_content_of_file(path))
    except ValueError as error:
        raise UserError(f"{path}: this is not YAML as memtrain reads it: {error}.") from None


def parse_yaml(text: str | bytes) -> Any:
    """Return the content of a YAML or JSON text.

    Raises:
        ValueError: if it is not YAML; if a mapping has a key twice, a date stands without quotes,
            or its aliases stand for too many values. It says where, and what to do.
    """
    loader = None
    try:
        loader = _StrictLoader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"{_place(mark)}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        # PyYAML raises these for values that are not of their tag, as in `!!int x`.
        raise ValueError(f"a value cannot be read ({shown(str(error))})") from None
    finally:
        if loader is not None:
            loader.dispose()


class _StrictLoader(yaml.SafeLoader):
    """Refuses what PyYAML reads as something else than was meant."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _count_values(node, {})
        return node


def _refuse_date(_: yaml.SafeLoader, node: yaml.ScalarNode) -> None:
    raise yaml.constructor.ConstructorError(
        problem=f"{shown(node.value)} would be a date: write it in quotes",
        problem_mark=node.start_mark,
    )


_StrictLoader.add_constructor(_DATE, _refuse_date)


def _count_values(node: yaml.Node, counts: dict[int, int | None]) -> int:
    """Return how many values a node stands for; refuse too many of them, and a key twice.

    Args:
        node: what the text is made of; an alias is the node that it stands for.
        counts: the values of the nodes seen before, by identity; None while they are counted.
    """
    if id(node) not in counts:
        counts[id(node)] = None
        total = 1 + sum(_count_values(child, counts) for child in _children(node))
        if total > MOST_VALUES:
            raise _problem(
                node, f"its aliases (*name) stand for over {MOST_VALUES:,} values: write fewer"
            )
        counts[id(node)] = total
    count = counts[id(node)]
    if count is None:
        raise _problem(node, "this value holds itself by an alias (*name)")
    return count


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        _refuse_key_twice(node)
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refuse_key_twice(mapping: yaml.MappingNode) -> None:
    first: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            before = first.setdefault((key.tag, key.value), key)
            if before is not key:
                line = before.start_mark.line + 1
                raise _problem(
                    key,
                    f"the key {shown(key.value)} stands twice, first in line {line}, and only one "
                    "would count: remove or rename one",
                )


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
