"""The settings of rows in files: what they mean, and every mistake in them at once."""

import pytest

from memtrain.config.dataset import DatasetSettings
from memtrain.config.files import read_part
from memtrain.config.parsing import parse_settings_text
from memtrain.config.windows import WindowSettings
from memtrain.core.errors import UserError


def problems_of(files):
    """Return the problems of settings of files, as one text."""
    with pytest.raises(UserError) as raised:
        parse_settings_text(DatasetSettings, f"{{name: d, files: {files}}}")
    return "\n".join(raised.value.problems)


@pytest.mark.parametrize(
    ("windows", "step", "target", "stored"),
    [
        ("{length: 8, target: next}", 8, (1, 9), 9),
        ("{length: 8, stride: 4}", 4, None, 8),
        ("{length: 8, target: {offset: 2, length: 3}}", 8, (2, 5), 8),
        ("{length: 8, target: {offset: 10, length: 2}}", 8, (10, 12), 12),
    ],
)
def test_a_window_takes_the_elements_of_its_features_and_its_target(windows, step, target, stored):
    found = parse_settings_text(WindowSettings, windows)
    assert (found.step, found.target_places, found.stored_length) == (step, target, stored)


def test_places_of_a_row_have_open_ends():
    assert [read_part(part) for part in ("0:4", "4:", ":4", None)] == [
        (0, 4),
        (4, None),
        (None, 4),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("files", "messages"),
    [
        ("{path: a.npy}", ["`target` is missing"]),
        ("{target: b}", ["one of `path` and `fields` is needed; found neither"]),
        (
            "{path: a, target: b, fields: {x: {path: a, target: true}}}",
            ["found both", "no field is left for the features"],
        ),
        (
            "{path: a, dtype: uint17, windows: {length: 0, target: [3], borders: bar}}",
            ["Did you mean 'uint16'", "windows.length: found 0", "`next`", "{delimiter: an"],
        ),
        ("{path: a, header_bytes: 9, target: b}", ["header_bytes needs `dtype`"]),
        (
            "{path: a, target: b, task: regression, classes: 3}",
            ["`task: regression` that there are none"],
        ),
        ("{path: a, windows: {length: 3, target: next}, target: b}", ["says it again"]),
        ("{path: a, windows: {length: 3, target: next, rest: pad}}", ["rest: pad is for windows"]),
        ("{path: a, target: b, windows: {length: 3, stride: 2, rest: pad}}", ["use `rest: shift`"]),
        (
            "{fields: {x: {path: a, windows: {length: 3, target: y, rest: pad}}, "
            "y: {path: b, part: '0:2'}}}",
            ["these windows vary in length, and `part` of y"],
        ),
        ("{path: a, windows: {length: 3, target: b}}", ["`features` and `target: b` beside"]),
        (
            "{fields: {x: {path: a, windows: {length: 3, target: tag}}, tags: {path: b}}}",
            ["fields.x.windows.target: found tag", "another field: tags. Did you mean 'tags'?"],
        ),
        (
            "{fields: {x: {path: a, windows: {length: 3, target: y}}, "
            "y: {path: b, windows: {length: 2}}, z: {path: c, target: true}}}",
            ["y has the windows of x; remove its own", "one field is the target; found y, z"],
        ),
        ("{path: a, features: [x, y], target: y}", ["y cannot be a feature and a target"]),
        ("{path: a, features: '4:2', target: b}", ["these are no places"]),
        ("{path: a, features: '-4:', target: b}", ["places of a row are written"]),
        ("{path: a, array: x, target: b}", ["`array` names one array"]),
        (
            "{dtype: uint8, fields: {x: {path: a}, y: {path: [], target: true}}}",
            ["files.fields.y.path: found []"],
        ),
        (
            "{dtype: uint8, fields: {x: {path: a}, y: {path: b}}}",
            ["dtype belongs into a field", "one field is the target; found none"],
        ),
        ("{fields: {'a b': {path: a}, y: {path: b, target: true}}}", ["'a b' becomes the name"]),
    ],
)
def test_every_mistake_is_named(files, messages):
    found = problems_of(files)
    for message in messages:
        assert message in found


def test_a_dataset_has_one_source():
    for sources, found in (
        ("", "none"),
        (", mock: {rows: 9}, files: {path: a, target: b}", "mock"),
    ):
        with pytest.raises(UserError, match=f"`mock`, `import` or `files`; found {found}"):
            parse_settings_text(DatasetSettings, f"{{name: d{sources}}}")
