"""Recipes of rows in files: the same as of a record file, and none of windows that overlap."""

import numpy as np
import pytest

from memtrain.components.row_transform import build_row_transform
from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_description import describe_files
from memtrain.data.files_layout import FilesLayout
from memtrain.data.indexing import index_shards
from memtrain.data.record_file import create, record_dtype
from memtrain.data.streams.row_addresses import Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.planning.shared_elements import shared_element_problems, without_shared_elements
from memtrain.planning.split_resolution import resolve_splits

GENERATOR = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def configuration(files, **others):
    return parse_configuration(
        {
            "dataset": {"name": "d", "files": files},
            "splits": {"a": {"train": [0, 50], "evaluate": [50, 80]}},
            **others,
        }
    )


def recipes_of(settings, **others):
    """Return the recipes of rows in files, with their source."""
    content = configuration(settings, **others)
    assert content.dataset.files is not None
    layout, source = describe_files(content.dataset.files)
    layout.write("rows.json")
    manifest = index_shards("rows.json", 16)
    return resolve_splits(content, "rows.json", manifest, source), source


@pytest.mark.parametrize("dtype", ["f4", "f2", "i4"])
def test_files_side_by_side_have_the_recipes_of_a_record_file(dtype):
    features = (GENERATOR.normal(size=(80, 3)) * 10).astype(dtype)
    target = GENERATOR.integers(0, 4, 80)
    np.save("x.npy", features)
    np.save("y.npy", target)
    files = {"fields": {"x": {"path": "x.npy"}, "y": {"path": "y.npy", "target": True}}}
    found, source = recipes_of(files, training={"loss": "CrossEntropyLoss"})
    with create("data.npy", record_dtype(features=(f"<{dtype}", 3), target=("<i8", 1)), 80) as to:
        rows = np.zeros(80, to.layout.dtype)
        rows["features"], rows["target"][:, 0] = features, target
        to.write(0, rows)
    settings = configuration(files, training={"loss": "CrossEntropyLoss"})
    expected = resolve_splits(settings, "data.npy", index_shards("data.npy", 16), source)
    assert [one.training for one in found] == [one.training for one in expected]
    assert [one.evaluation for one in found] == [one.evaluation for one in expected]
    assert found[0].training.task.classes == 4


def test_features_of_several_types_become_one_row_of_numbers():
    np.save("a.npy", GENERATOR.normal(size=(80, 2)).astype("f4"))
    np.save("b.npy", GENERATOR.integers(0, 9, (80, 3)).astype("i4"))
    np.save("y.npy", GENERATOR.normal(size=80))
    fields = {"a": {"path": "a.npy"}, "b": {"path": "b.npy"}}
    (found,), _ = recipes_of({"fields": {**fields, "y": {"path": "y.npy", "target": True}}})
    assert found.training.task.features == ["a[0]", "a[1]", "b[0]", "b[1]", "b[2]"]
    assert found.training.feature_shape == (5,)
    used = np.concatenate([np.load("a.npy"), np.load("b.npy")], axis=1)[:50].astype("f8")
    assert np.allclose(found.training.statistics_of("features").mean, used.mean(axis=0))


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_integers_of_windows_have_one_statistic_for_all_positions(dtype):
    values = GENERATOR.integers(0, 999, (800, 2)).astype(dtype)
    np.save("x.npy", values)
    np.save("y.npy", np.zeros(100))
    fields = {"x": {"path": "x.npy", "windows": {"length": 8}}}
    (found,), _ = recipes_of(
        {"fields": {**fields, "y": {"path": "y.npy", "target": True}}},
        training={"transform": "standardize"},
    )
    used = values.reshape(100, 8, 2)[:50].astype("f8")
    statistics = found.training.statistics_of("features")
    is_pooled = dtype == "u2"
    assert len(found.training.statistics["features"]["mean"]) == (2 if is_pooled else 16)
    axes = (0, 1) if is_pooled else 0
    for one, expected in (
        (statistics.mean, used.mean(axis=axes)),
        (statistics.standard_deviation, used.std(axis=axes)),
        (statistics.minimum, used.min(axis=axes)),
    ):
        assert np.allclose(one.reshape(8, 2), np.broadcast_to(expected, (8, 2)))
    transform = build_row_transform("training", found.training)
    row = transform({"features": values[:8].copy()})["features"]
    deviation = np.broadcast_to(used.std(axis=axes), (8, 2))
    assert np.allclose(row, (used[0] - used.mean(axis=axes)) / deviation, atol=1e-5)


@pytest.mark.parametrize(
    ("target", "classes", "message"),
    [
        ([0, 1, 5], 5, "dataset.files.classes: found 5, and the target holds 5; classes are"),
        ([0, 1, -1], None, "it holds -1, and classes are numbered from 0"),
    ],
)
def test_values_that_are_no_classes_are_refused(target, classes, message):
    np.save("x.npy", np.zeros((80, 2), "f4"))
    np.save("y.npy", np.resize(target, 80))
    files = {"fields": {"x": {"path": "x.npy"}, "y": {"path": "y.npy", "target": True}}}
    with pytest.raises(UserError) as raised:
        recipes_of({**files, "classes": classes}, training={"loss": "CrossEntropyLoss"})
    assert message in "\n".join(raised.value.problems)


def windows(length, stride, parts, rest="drop"):
    """Return a layout of windows over files of some numbers of elements."""
    files = [(f"{number}.bin", 2 * n, [(0, n)]) for number, n in enumerate(parts)]
    stream = Stream.of_parts(files, np.dtype("u2"))
    addresses = Windows(length, stride, stream.file_firsts, rest)
    return FilesLayout((StoredField("rows", stream, addresses),), {})


@pytest.mark.parametrize(("length", "stride", "gap"), [(9, 8, 1), (8, 8, 0), (8, 3, 2), (8, 9, 0)])
def test_the_gap_that_is_told_separates_windows(length, stride, gap):
    layout = windows(length, stride, [1000])
    used = {"train": [Range(0, 40)], "evaluate": [Range(40, 60)]}
    problems = list(shared_element_problems("splits.a", layout, used))
    assert bool(problems) == bool(gap)
    if gap:
        assert f"Leave out {gap} row" in problems[0]
        apart = {**used, "evaluate": [Range(40 + gap, 60)]}
        assert not list(shared_element_problems("splits.a", layout, apart))
        almost = {**used, "evaluate": [Range(40 + gap - 1, 60)]}
        assert list(shared_element_problems("splits.a", layout, almost))


@pytest.mark.parametrize("rest", ["drop", "shift"])
def test_rows_that_share_elements_are_found_as_numpy_finds_them(rest):
    layout = windows(7, 3, [50, 5, 31, 64], rest)
    addresses = layout.stored[0].addresses
    starts = addresses.starts(np.arange(layout.rows))
    held = [Range(4, 9), Range(20, 21)]
    elements = np.zeros(200, bool)
    for rows in held:
        for start in starts[rows.start : rows.end]:
            elements[start : start + 7] = True
    expected = [row for row, start in enumerate(starts) if not elements[start : start + 7].any()]
    left = without_shared_elements("splits.a", layout, [Range(0, layout.rows)], held)
    assert [row for rows in left for row in range(*rows)] == expected


def test_held_out_windows_that_cost_many_training_rows_are_told(caplog):
    layout, rows = windows(64, 1, [400]), [Range(0, 300)]
    assert without_shared_elements("splits.a", layout, rows, [Range(270, 300)]) == [Range(0, 207)]
    assert not caplog.text
    places = [Range(start, start + 1) for start in (111, 183, 250)]
    assert without_shared_elements("splits.a", layout, rows, places) == [Range(0, 48)]
    assert "splits.a: training.validation: 252 further rows" in caplog.text
    everywhere = [Range(start, start + 1) for start in range(0, 300, 50)]
    with pytest.raises(UserError, match=r"every training row shares.*take: last"):
        without_shared_elements("splits.a", layout, rows, everywhere)


def test_files_that_meet_share_nothing():
    layout = windows(9, 8, [81, 81])
    used = {"train": [Range(0, 10)], "evaluate": [Range(10, 20)]}
    assert not list(shared_element_problems("splits.a", layout, used))
