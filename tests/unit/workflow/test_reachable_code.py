"""The files that a file of code can reach, found by reading them."""

import os

import pytest

from memtrain.workflow.code_reader import CodeReader, Import
from memtrain.workflow.reachable_code import CodeFile, SearchPath, module_files, reachable_code

FILES = {
    "script.py": "import os, package.one\nfrom package import two\n",
    "package/__init__.py": "from package.base import x\n",
    "package/base.py": "x = 1\n",
    "package/one.py": "def later():\n    from .three import y\n",
    "package/two.py": (
        "import numpy, typing\n"
        "if typing.TYPE_CHECKING:\n    import package.unused\nelse:\n    import package.four\n"
    ),
    "package/four.py": "from package.deep.five import z\n",
    "package/three.py": "from package import base\ny = 2\n",
    "package/deep/__init__.py": "",
    "package/deep/five.py": "from .. import base\nz = 2\n",
    "package/unused.py": "z = 3\n",
    "package/assets/style.css": "not Python",
    "package/assets/deep/x.js": "",
    "assets/no_package.txt": "",
    "own/models.py": "from own import layers\n",
    "own/layers.py": "",
}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def reached(folder, search, outside=()):
    start = CodeFile("script.py", folder / "script.py")
    return [file.name for file in reachable_code([start], search, outside)]


def test_files_are_found_through_imports(folder):
    files = reachable_code([CodeFile("script.py", folder / "script.py")], SearchPath([folder]))
    assert [file.name for file in files] == [
        "script.py",
        "package/__init__.py",
        "package/assets/deep/x.js",
        "package/assets/style.css",
        "package/base.py",
        "package/deep/__init__.py",
        "package/deep/five.py",
        "package/four.py",
        "package/one.py",
        "package/three.py",
        "package/two.py",
    ]
    assert all(file.path == folder / file.name for file in files)


def test_what_only_files_outside_import_is_not_found(folder):
    found = reached(folder, SearchPath([folder]), outside=["package/two.py", "package/one.py"])
    assert "package/base.py" in found
    for name in ("two", "one", "three", "four", "deep/five"):
        assert f"package/{name}.py" not in found
    # The folder is outside; a file that imports it stays, and so does what another way leads to.
    assert reached(folder, SearchPath([folder]), outside=["package/deep/"])[-4:] == [
        "package/four.py",
        "package/one.py",
        "package/three.py",
        "package/two.py",
    ]


def test_a_package_that_lies_elsewhere_is_found_by_its_name_alone(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("site-packages")
    (elsewhere / "numpy.py").write_text("")
    (folder / "package").rename(elsewhere / "package")
    search = SearchPath([folder], {"package": elsewhere})
    found = reached(folder, search)
    assert "package/deep/five.py" in found
    assert "numpy.py" not in found


def test_the_files_of_a_module(folder):
    search = SearchPath([folder])
    assert [file.name for file in module_files("own.models", search)] == ["own/models.py"]
    assert module_files("torch.nn", search) == []
    assert module_files("", search) == []


def facts(path):
    """Return the facts of a file, by a reader that knows none."""
    return CodeReader().facts(path)


def test_a_file_is_known_by_its_content_alone(tmp_path):
    """However often and wherever a process has read the same bytes before."""
    one, copy, data = tmp_path / "one.py", tmp_path / "copy.py", tmp_path / "one.txt"
    for path in (one, copy, data):
        path.write_text("import package.base  # a comment\n")
    found = os.stat(one)
    assert facts(one) == facts(copy)
    assert facts(one).imports == (Import(0, "package.base", ()),)
    # The same bytes are no code where the file is no Python.
    assert facts(data).imports == ()
    assert facts(data).running != facts(one).running
    before = facts(one)
    one.write_text("import package.four  # a comment\n")
    os.utime(one, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert facts(one).imports == (Import(0, "package.four", ()),)
    assert facts(one).running != before.running
    assert facts(copy) == before


@pytest.mark.parametrize("content", [b"def (:\n", b"# coding: utf-8\nx = '\xff'\n"])
def test_a_file_that_python_cannot_read_is_named(tmp_path, content):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SyntaxError) as raised:
            facts(tmp_path / name)
        assert name in f"{raised.value} {raised.value.filename}"
