"""Files are found by path, list and pattern, in natural order, and never silently left out."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.data.file_order import find_files, natural_key
from tests.other_user import as_another_user


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*names):
    for name in names:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w") as file:
            file.write(name)


def test_a_path_is_itself():
    write("a.bin", "b[1].bin", "b1.bin")
    assert find_files("a.bin") == ["a.bin"]
    assert find_files("b[1].bin") == ["b[1].bin"], "a file whose name looks like a pattern"


def test_a_pattern_is_sorted_by_numbers():
    names = [f"part-{number}.bin" for number in range(1, 21)]
    shuffled = random.Random(1).sample(names, len(names))
    write(*shuffled, "part-3.txt")
    assert find_files("part-*.bin") == names


def test_folders_are_sorted_by_numbers_too():
    ordered = ["s/1.bin", "s/2/1.bin", "s/2/10.bin", "s/10/2.bin", "s/a/1.bin"]
    write(*reversed(ordered))
    assert find_files("s/**/*.bin") == ordered


def test_a_list_keeps_its_order():
    write("b1.bin", "b10.bin", "b9.bin", "a.bin")
    assert find_files(["b*.bin", "a.bin"]) == ["b1.bin", "b9.bin", "b10.bin", "a.bin"]
    assert find_files(["a.bin", "b9.bin", "b10.bin"]) == ["a.bin", "b9.bin", "b10.bin"]


def test_a_pattern_names_no_folders():
    write("x/1/a", "x/2")
    assert find_files("x/*") == ["x/2"]


def test_everything_that_is_wrong_is_told_at_once():
    write("a", "sub/b")
    os.link("a", "c")
    os.symlink("sub/b", "d")
    os.symlink("nowhere", "e")
    os.mkfifo("f")
    with pytest.raises(UserError) as error:
        find_files(["a", "a", "c", "sub", "sub/b", "d", "e", "f", "g", "g*"])
    told = str(error.value)
    for words in (
        "g: there is no such file",
        "g*: no file matches",
        "a: it is named twice",
        "c: it is the same file as a",
        "sub: this is a folder. Name its files, such as sub/*",
        "d: it is the same file as sub/b",
        "e: this link leads to nowhere, which is gone",
        "f: this is a pipe",
    ):
        assert words in told
    assert len(error.value.problems) == 8
    with pytest.raises(UserError, match="No file is named"):
        find_files([])


def test_what_may_not_be_read_is_named(folder):
    write("a1", "a2", "x/1/b", "x/2/b")
    os.chmod("a2", 0)
    os.chmod("x/2", 0)
    folder.chmod(0o755)
    try:
        with as_another_user():
            with pytest.raises(UserError, match="a2: this file may not be read") as error:
                find_files(["a*", "x/*/b"])
            assert "x/2: this folder may not be listed" in str(error.value)
            for pattern in ("**/b", "**", "x/2/*"):
                with pytest.raises(UserError, match="x/2: this folder may not be listed"):
                    find_files(pattern)
            with pytest.raises(UserError, match=r"x/2/b: this file cannot be read \(Permission"):
                find_files("x/2/b")
    finally:
        os.chmod("x/2", 0o700)


names = st.text("ab019/-", min_size=1, max_size=12)


@given(names, names, names)
def test_natural_order_is_an_order(first, second, third):
    keys = sorted(map(natural_key, (first, second, third)))
    assert keys[0] <= keys[1] <= keys[2]
    assert (natural_key(first) == natural_key(second)) == (first == second)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(["p{}", "p{}.x", "{}/q"]))
def test_numbers_count(first, second, form):
    before = natural_key(form.format(first)) < natural_key(form.format(second))
    assert before == (first < second)
