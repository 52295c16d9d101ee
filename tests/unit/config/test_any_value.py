"""Any value of any key is accepted or refused with a message, whatever its type and size."""

import copy
import datetime
import json
import math

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.config.reading import parse_configuration
from memtrain.config.schema import config_schema
from memtrain.core.errors import UserError
from memtrain.system import canonical_json

#: Every key of the settings.
MOCK = yaml.safe_load(
    """
dataset:
  name: d
  mock: {rows: 1000, features: 3, target: mlp, noise: 0.1, classes: null, seed: 0}
shards: {rows: 1024, digest: sha256}
splits:
  a:
    train: [0, 500]
    evaluate: [[500, "60%"], ["70%", 1000]]
    allow_overlap: true
    training: {epochs: 5, optimizer: {lr: 0.1}, shuffle: {block_bytes: 1KiB}}
training:
  model: {name: mlp, hidden: [64]}
  transform: {name: scale, factor: 2}
  loss: {name: MSELoss}
  optimizer: {name: Adam, lr: 0.001}
  scheduler: {name: StepLR, step_size: 3}
  batch_size: 16
  accumulation_steps: 8
  last_window: step
  clip_norm: 1
  precision: float32
  compile: false
  reduction: reproducible
  sharding: none
  shuffle: {block_bytes: 256KiB, buffer_bytes: 256MiB}
  epochs: 3
  seed: 0
  threads: 1
  device: auto
loading: {reader: auto, stage: auto, mapped_files: 9, memory_budget: auto}
running: {checkpoint: {minutes: 5}, slots_per_call: auto}
lineage: {required: false, verify_shards: sample, environment: [A]}
evaluation: {bootstrap: 100, seed: 0}
"""
)
IMPORT = yaml.safe_load(
    """
dataset:
  name: d
  import:
    path: x.csv
    features: [a]
    target: [b]
    dtypes: {a: int64}
    categories: [a]
    missing: error
    shuffle_once: 0
folds: 3
running: {checkpoint: {steps: 5}}
"""
)

FILES = yaml.safe_load(
    """
dataset:
  name: d
  files:
    path: [a.bin, b*.bin]
    format: raw
    dtype: uint16
    shape: []
    header_bytes: 1024
    windows:
      {length: 8, stride: 4, target: {offset: 1, length: 8}, borders: {delimiter: 0}, rest: shift}
    task: classification
    classes: 3
folds: 3
"""
)
FIELDS = yaml.safe_load(
    """
dataset:
  name: d
  files:
    fields:
      x: {path: x.npy, part: "0:4", array: a}
      y: {path: y.npy, target: true, windows: {length: 1, borders: {offsets: b.npy}}}
folds: 3
"""
)
COLUMNS = yaml.safe_load(
    """
dataset: {name: d, files: {path: x.npy, features: "0:4", target: ["4:"]}}
folds: 3
"""
)

LOOP: list = []
LOOP.append(LOOP)
DEEP: dict = {}
for _ in range(5000):
    DEEP = {"x": DEEP}

#: Values that some program could fail at: too large, of no JSON type, without an end.
EXTREMES = [
    *(None, True, "", "text", "\0", "\ud800", "²", "1e400", "9" * 5000, "9" * 5000 + "%"),
    *("9" * 400 + "KiB", "1e308", -1, 0, 2**63, 2**64, 10**320, 10**5000, -(10**5000)),
    *(math.inf, -math.inf, math.nan, 1e308, 5e-324, b"x", datetime.date(2020, 1, 2), {1}, (1, 2)),
    *([], [1, [2]], {}, {1: 2}, {None: 3}, {"\ud800": 1}, {"x\ny": 10**5000}, LOOP, DEEP),
    *({"name": "x", "y": LOOP}, {"name": "x", "y": DEEP}, [10**5000, 10**5001], ["9e9%", 2]),
]

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, categories=None), max_size=9)
    | st.sampled_from([value for value in EXTREMES if isinstance(value, str | float)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def keys_of(content, path=()):
    """Yield the path of every key."""
    for key, part in content.items():
        yield (*path, key)
        if isinstance(part, dict):
            yield from keys_of(part, (*path, key))


CONTENTS = (MOCK, IMPORT, FILES, FIELDS, COLUMNS)
KEYS = [(content, path) for content in CONTENTS for path in keys_of(content)]


def check(content, path, value):
    """Put a value at a path: it is accepted and can be written, or a message names it."""
    content = copy.deepcopy(content)
    part = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    try:
        configuration = parse_configuration(content)
    except UserError as error:
        for problem in error.problems:
            assert len(problem) < 3000
            assert problem.encode()
        return
    written = canonical_json.dumps(configuration.as_given())
    assert parse_configuration(json.loads(written.encode())) == configuration
    for split in configuration.split_names[:3]:
        canonical_json.digest(configuration.training_settings(split).model_dump(mode="json"))


@pytest.mark.parametrize(("content", "path"), KEYS, ids=[".".join(path) for _, path in KEYS])
def test_values_that_are_too_large_or_of_another_type(content, path):
    for value in EXTREMES:
        check(content, path, value)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.sampled_from(KEYS), ANYTHING)
def test_any_content_is_accepted_or_rejected_with_a_message(key, value):
    check(*key, value)


@pytest.mark.slow
def test_the_schema_has_bounds_for_every_number():
    schema = json.loads(config_schema())
    for content in CONTENTS:
        jsonschema.validate(content, schema)
    numbers = [part for part in parts_of(schema) if part.get("type") in ("integer", "number")]
    assert len(numbers) > 20
    for part in numbers:
        assert part.keys() & {"minimum", "exclusiveMinimum"}, part
        assert part.keys() & {"maximum", "exclusiveMaximum"}, part


def parts_of(schema):
    """Yield every mapping in a JSON schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from parts_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from parts_of(part)
