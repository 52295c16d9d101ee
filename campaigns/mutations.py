"""Random changes of a configuration: some leave it valid, most do not."""

import copy
import datetime
import random
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from campaigns.damages import STRANGE_VALUES

#: Values that are right at one of these keys; elsewhere they are wrong.
_FITTING: dict[str, tuple[Any, ...]] = {
    "model": ("linear", {"name": "mlp", "hidden": [3]}, "torch.nn:Linear", "networks:Gone"),
    "loss": (
        *("MSELoss", "L1Loss", "HuberLoss", "CrossEntropyLoss"),
        {"name": "SmoothL1Loss", "beta": 2},
    ),
    "optimizer": (
        *("SGD", "Adam", "AdamW", "RMSprop", "LBFGS", "SparseAdam"),
        {"name": "SGD", "lr": 0.1, "momentum": 0.9},
        {"name": "Adam", "lr": -1},
        {"name": "Adam", "learning_rate": 0.1},
    ),
    "scheduler": (
        *("ConstantLR", "ReduceLROnPlateau", "CosineAnnealingLR"),
        {"name": "StepLR", "step_size": 2},
        {"name": "StepLR", "step_size": 0},
        {"name": "OneCycleLR", "max_lr": 0.1, "total_steps": 3},
    ),
    "transform": ("standardize", {"name": "scale", "factor": 2}, None, "networks:Net"),
    "train": (
        *([0, 64], [[0, 8], [4, 12]], ["0%", "50%"]),
        *([64, 0], [0, 97], [0, 0.5], [[0, 64], [64]]),
    ),
    "evaluate": ([64, 96], [0, 96], ["50%", "100%"], [95, 96], [-3, 96]),
    "epochs": (1, 3, 0, 0.5, 10**9, 10**15),
    "batch_size": (1, 7, 64, 65, 10**12),
    "accumulation_steps": (1, 3, 100, 10**9),
    "rows": ("auto", 1, 7, 1000, 2**40),
    "digest": ("blake3", "md5"),
    "bootstrap": (0, 1, 2, 10**6, 10**12),
    "missing": ("drop", "mean", "zero"),
    "shuffle_once": (None, 0, 2**63, 2**64, -1),
    "features": (["a"], ["a", "a"], ["y"], [], ["nothing"], "a", [0]),
    "target": (["b"], ["kind"], ["y", "b"]),
    "path": (
        *("data", "data/*.csv", "data/rows.csv", "nowhere/*.csv", "$(touch hit)"),
        *("networks.py", "config.yaml", "/dev/zero"),
    ),
    "seed": (0, 2**63, 2**64, -1, 1.5),
    "checkpoint": ({"minutes": 1}, {"steps": 1}, {"steps": 1, "minutes": 1}, {"steps": 0}),
    "reader": ("mmap", "pread", "direct", "other"),
    "memory_budget": ("1KiB", "1GiB", "1PiB", "-1GiB", "1.5.2MiB", 4096),
    "stage": ("always", "auto", "never"),
    "device": ("cpu", "cuda", "tpu", "cuda:7"),
    "name": ("other", "../other", "a b", "a/b", "", "ä", "x" * 300, "-n", "$(touch hit)", "'"),
}  # fmt: skip

#: Keys that may be added, by the key of the mapping that they are added to.
_ADDABLE: dict[str, tuple[str, ...]] = {
    "": ("loading", "lineage", "folds", "comment"),
    "training": ("loss", "optimizer", "scheduler", "seed", "device", "reduction", "shuffle"),
    "import": ("missing", "dtypes"),
    "loading": ("reader", "memory_budget", "stage"),
    "evaluation": ("seed",),
    "shards": ("digest",),
}

_STRANGE = (*STRANGE_VALUES, datetime.date(2026, 1, 1), "1e-3", [1, 2, 3], {"name": "x"})

#: Changes of the text of a configuration.
_OF_TEXT: tuple[Callable[[str], bytes], ...] = (
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.encode("utf-16"),
    lambda text: text.replace("dataset", "d\xe4taset").encode("latin-1"),
    lambda text: text.replace("  ", "\t").encode(),
    lambda text: f"{text}training: {{epochs: 3}}\n".encode(),
    lambda text: f"{text}splits:\n  a: {{train: [0, 8], evaluate: [8, 9]}}\n".encode(),
    lambda text: text[: len(text) // 2].encode(),
    lambda text: b"",
    lambda text: b"[" * 100_000,
    lambda text: f"{text}---\n{text}".encode(),
    lambda text: f"{text}x: &x [*x]\n".encode(),
    lambda text: (text + _BOMB).encode(),
    lambda text: f"{text}x: !!python/object/apply:os.system [touch hit]\n".encode(),
    lambda text: text.replace("epochs: 2", "epochs: 2026-13-45").encode(),
    lambda text: f"# {'x' * 10_000_000}\n{text}".encode(),
    lambda text: text.replace("name: sample", "name: sam\x00ple").encode(),
)

_BOMB = "bomb:\n- &b0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"- &b{n + 1} [{','.join([f'*b{n}'] * 9)}]\n" for n in range(9)
)


def mutated(configuration: dict, chance: random.Random) -> bytes:
    """Return the text of a configuration after one to three changes.

    In two of five cases, every change puts a value where it may be right.
    """
    content = copy.deepcopy(configuration)
    if chance.random() < 0.4:
        for _ in range(chance.choice((1, 2))):
            _fit(content, chance)
        return yaml.safe_dump(content, sort_keys=False).encode()
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        chance.choice((_set, _set, _set, _add, _add, _delete, _rename, _move))(content, chance)
    try:
        text = yaml.safe_dump(content, sort_keys=False)
    except yaml.YAMLError:
        text = yaml.safe_dump(configuration, sort_keys=False)
    return chance.choice(_OF_TEXT)(text) if chance.random() < 0.1 else text.encode()


def _fit(content: dict, chance: random.Random) -> None:
    """Give one key, which is there or may be added, a value that may be right."""
    there = [(container, key) for container, key in _places(content) if str(key) in _FITTING]
    added = [
        (mapping, key)
        for name, mapping in [("", content), *_mappings(content)]
        for key in _ADDABLE.get(name, ())
        if key in _FITTING
    ]
    container, key = chance.choice(there + added)
    container[key] = chance.choice(_FITTING[key])


def _set(content: dict, chance: random.Random) -> None:
    """Put a fitting or a strange value at a random place."""
    container, key = chance.choice(list(_places(content)))
    values = _FITTING.get(key, ()) if isinstance(key, str) else ()
    container[key] = chance.choice(values if values and chance.random() < 0.75 else _STRANGE)


def _add(content: dict, chance: random.Random) -> None:
    """Add a key that may be there, or one that may not."""
    mappings = [("", content), *_mappings(content)]
    name, mapping = chance.choice(mappings)
    key = chance.choice((*_ADDABLE.get(name, ()), "unknown"))
    mapping[key] = chance.choice((*_FITTING.get(key, ()), *_FITTING.get(key, ()), *_STRANGE))


def _delete(content: dict, chance: random.Random) -> None:
    container, key = chance.choice(list(_places(content)))
    del container[key]


def _rename(content: dict, chance: random.Random) -> None:
    """Misspell a key."""
    _, mapping = chance.choice([("", content), *_mappings(content)])
    if mapping:
        key = chance.choice(list(mapping))
        at = chance.randrange(len(str(key)) or 1)
        mapping[f"{str(key)[:at]}{str(key)[at + 1 :]}"] = mapping.pop(key)


def _move(content: dict, chance: random.Random) -> None:
    """Put one part of the configuration in the place of another."""
    places = list(_places(content))
    (container, key), (other, other_key) = chance.choice(places), chance.choice(places)
    container[key] = copy.deepcopy(other[other_key])


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a nested configuration, as its container and its key."""
    if isinstance(content, dict | list):
        for key in list(content) if isinstance(content, dict) else range(len(content)):
            yield content, key
            yield from _places(content[key])


def _mappings(content: Any) -> Iterator[tuple[str, dict]]:
    """Yield every mapping inside a configuration, with its key."""
    for container, key in _places(content):
        if isinstance(container[key], dict):
            yield str(key), container[key]
