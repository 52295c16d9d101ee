"""Whatever a JSON or YAML file holds, reading it gives its content or one sentence."""

import os

import pytest

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.yaml_text import parse_yaml, read_yaml

DEEP = "[" * 100_000
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff{}", "decode"),
        (DEEP.encode(), "nested too deeply"),
        (b'{"rows": %s}' % (b"9" * 6000), "digits"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
    ],
)
def test_damaged_json_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.json: this is not a JSON file \(.*{words}") as caught:
        canonical_json.read(path, made_by="train")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfea", "unexpected end|decode|truncated"),
        (b"a: \x80", "start byte"),
        (DEEP.encode(), "nested too deeply"),
        (b"a: [1, 2", r"line 1, column 9: expected ',' or '\]'"),
        (b"a:\n\tb: 1", "line 2, column 1: found character '\\\\t'"),
        (b"x:\n- at: 2026-13-45", r"line 2, column 7: '2026-13-45' would be a date: write it in"),
        (b"at: 2026-01-05", "would be a date"),
        (b"a: !!int x", "a value cannot be read"),
        (b"a: !!python/object:os.system x", "could not determine a constructor"),
        (b"a: " + b"9" * 6000, "digits"),
        (b"a: {}\nb: 1\na: {}", "line 3, column 1: the key 'a' stands twice, first in line 1"),
        (b"? [a]\n: 1", "unhashable"),
        (BOMB.encode(), r"aliases \(\*name\) stand for over 1,000,000 values"),
        (b"a: &a [*a]", "holds itself"),
        (b"a: 1\n---\nb: 2", "another document"),
    ],
)
def test_damaged_yaml_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.yaml: this is not YAML.*{words}") as caught:
        read_yaml(path)
    assert len(str(caught.value)) < 300


def test_yaml_keeps_merges_aliases_and_what_is_quoted():
    text = "base: &base {a: 1, b: 2}\nsplit: {<<: *base, b: 3}\nat: '2026-01-05'\n"
    expected = {"base": {"a": 1, "b": 2}, "split": {"a": 1, "b": 3}, "at": "2026-01-05"}
    assert parse_yaml(text) == expected


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_yaml, lambda path: canonical_json.read(path, made_by="train")):
        with pytest.raises(UserError, match=r"pipe: .*this is a pipe or a device"):
            read(tmp_path / "pipe")
        with pytest.raises(UserError, match="this is a folder"):
            read(tmp_path)
