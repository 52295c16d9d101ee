"""Readable names of the trainings of a sweep, like "base-lr=0.01-seed=2".

A name depends on the split, the settings and their values alone, so that more values leave it as it
is. It is a part of paths and of Snakemake's own command lines, in which a comma ends it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from memtrain.config.types import LONGEST_NAME
from memtrain.system import canonical_json

#: Least digits of a digest that tells names apart which are long or alike.
_DIGEST_DIGITS = 6

_OTHER_LETTERS = re.compile(r"[^A-Za-z0-9_.+]+")


def labels_of_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return a short label for each key: its last parts, as many as tell it from the others.

    The label of "training.optimizer.lr" is "lr", and that of "training.optimizer.name" is
    "optimizer".
    """
    parts = {key: key.removesuffix(".name").split(".") for key in dict.fromkeys(keys)}
    labels: dict[str, str] = {}
    for count in range(1, max(map(len, parts.values()), default=0) + 1):
        ends = {key: ".".join(path[-count:]) for key, path in parts.items() if key not in labels}
        taken = Counter([*ends.values(), *labels.values()])
        labels |= {key: end for key, end in ends.items() if taken[end] == 1}
    return {key: labels.get(key, key) for key in parts}


def text_of_value(value: Any) -> str:
    """Return a value as people read it in a table: JSON without quotes and spaces."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(text_of_value, value))}]"
    if isinstance(value, Mapping):
        others = [f"{key}={text_of_value(part)}" for key, part in value.items() if key != "name"]
        return " ".join([*([str(value["name"])] if "name" in value else []), *others])
    return canonical_json.dumps(value)


def name_of_training(
    base: str, settings: Mapping[str, Any], labels: Mapping[str, str], taken: Collection[str]
) -> str:
    """Return the name of a training.

    Args:
        base: the name of its split or fold.
        settings: its settings by their full keys.
        labels: the label of each key.
        taken: names that it must not have, in lower case: some file systems keep one folder for
            names that differ in the case of letters only.
    """
    parts = [f"{labels[key]}={_letters(value)}" for key, value in settings.items()]
    name = "-".join([base, *parts])
    if len(name) <= LONGEST_NAME and name.lower() not in taken:
        return name
    digest = canonical_json.digest([base, dict(settings)]).partition(":")[2]
    for digits in range(_DIGEST_DIGITS, len(digest)):
        longer = f"{name[: LONGEST_NAME - digits - 1].rstrip('-=')}-{digest[:digits]}"
        if longer.lower() not in taken:
            return longer
    raise AssertionError("two trainings have the same split and settings")


def _letters(value: Any) -> str:
    """Return a value in letters that need no quotes in a shell."""
    text = text_of_value(value)
    sign = "-" if isinstance(value, int | float) and text.startswith("-") else ""
    letters = sign + _OTHER_LETTERS.sub("_", text).strip("_")
    # 1e-05 keeps its sign: no other value has these letters.
    return re.sub(r"(?<=\de)_(?=\d)", "-", letters) or "_"
