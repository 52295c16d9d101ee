"""The files that a file of code can reach, found by reading them."""

import pytest

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
