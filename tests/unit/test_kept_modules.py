"""The warm Python of tests runs what stands in a copy of the package, never what it has kept."""

import compileall
import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: Imports a module of a copy, and says of each module: its value, where it lies, how it was loaded.
PROGRAM = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.kept_modules import KeptModules, compile_once
original = Path(sys.argv[2])
KeptModules(original, compile_once(original))
for folder in sys.argv[3:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "memtrain"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    from memtrain.high.c import c
    found = {
        name: [module.__file__, type(module.__loader__).__name__ != "SourceFileLoader"]
        for name, module in sys.modules.items() if name.startswith("memtrain.") and "_" not in name
    }
    print(json.dumps([c(), c.__code__.co_filename, found]))
"""

FILES = {
    "__init__": "",
    "low/__init__": "",
    "high/__init__": "",
    "low/a": "A = 1\n",
    "low/b": "B = 2\n",
    "high/c": "from memtrain.low.a import A\nfrom memtrain.low import b\n"
    "def c():\n    return A, b.B\n",
    "high/d": "from memtrain.high.c import c\n",
}


@pytest.fixture
def copy(tmp_path):
    """Return a function that writes the package into a folder, with other content if asked."""

    def write(name, **changes):
        for file, content in FILES.items():
            path = tmp_path / name / f"memtrain/{file}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(changes.get(file.rpartition("/")[2], content))
        # Bytecode of the original must not be what is kept.
        compileall.compile_dir(tmp_path / name, quiet=2)
        return tmp_path / name

    return write


def imported(repository, *folders):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, repository, *folders],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_modules_of_an_equal_copy_are_taken_over_and_lie_there(copy, repository):
    folder = copy("copy")
    ((value, file, modules),) = imported(repository, copy("original"), folder)
    assert value == [1, 2]
    assert file == str(folder / "memtrain/high/c.py")
    names = ("low", "low.a", "low.b", "high", "high.c")
    assert modules.keys() == {f"memtrain.{name}" for name in names}
    assert modules["memtrain.low.a"] == [str(folder / "memtrain/low/a.py"), True]
    assert modules["memtrain.low"] == [str(folder / "memtrain/low/__init__.py"), True]
    assert all(taken for _, taken in modules.values())


@pytest.mark.parametrize(
    ("changes", "value", "anew"),
    [
        ({"a": "A = 5\n"}, [5, 2], {"low.a", "high.c"}),
        ({"b": "B = 6\n"}, [1, 6], {"low.b", "high.c"}),
        ({"c": FILES["high/c"] + "# more\n"}, [1, 2], {"high.c"}),
        ({"d": ""}, [1, 2], set()),
    ],
)
def test_what_was_edited_and_what_imports_it_is_imported_anew(
    copy, repository, changes, value, anew
):
    ((found, _, modules),) = imported(repository, copy("original"), copy("copy", **changes))
    assert found == value
    assert {name for name, (_, taken) in modules.items() if not taken} == {
        f"memtrain.{name}" for name in anew
    }


def test_a_module_that_remembers_its_path_is_imported_anew(copy, repository):
    changes = {"b": "PLACE = __file__\nB = PLACE\n"}
    folder = copy("copy", **changes)
    ((value, _, modules),) = imported(repository, copy("original", **changes), folder)
    assert value == [1, str(folder / "memtrain/low/b.py")]
    assert modules["memtrain.low.a"][1]
    assert not modules["memtrain.high.c"][1]


def test_a_process_that_imports_the_modules_once_more_gets_new_ones(copy, repository):
    folders = [copy("one"), copy("two", a="A = 5\n")]
    first, second = imported(repository, copy("original"), *folders)
    assert first[0] == [1, 2]
    assert second[0] == [5, 2]
    assert not any(taken for _, taken in second[2].values())
