"""What holds for the repository as a whole."""

import ast
import re

import pytest
import yaml

from memtrain import __doc__ as floor_plan
from memtrain.code_files import module_files, reachable_files


def pins(path):
    found = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z0-9_.-]+)==(\S+)", line):
            found[match[1].lower().replace("_", "-")] = match[2]
    return found


def test_conda_and_pip_have_one_set_of_versions(repository):
    envs = repository / "envs"
    conda_names = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    dependencies = yaml.safe_load((envs / "memtrain.yaml").read_text())["dependencies"]
    conda = dict(re.fullmatch(r"(\S+) =([0-9.]+)", line).groups() for line in dependencies[1:])
    pip = pins(envs / "requirements.txt")
    assert {conda_names.get(name, name): version for name, version in conda.items()} == {
        name: pip[name] for name in [*(conda_names.get(name, name) for name in conda)]
    }
    assert len(conda) >= 8
    assert not set(pip) & set(pins(envs / "requirements-dev.txt"))


def test_the_environment_is_the_pinned_one(repository):
    from importlib.metadata import version

    for path in ("requirements.txt", "requirements-dev.txt"):
        for name, pinned in pins(repository / "envs" / path).items():
            assert version(name).split("+")[0] == pinned, name


def floors():
    rows = re.findall(r"^(\d)      (.*(?:\n       .*)*)", floor_plan, re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"\w+", names)}


def test_modules_import_only_from_floors_below(repository):
    package = repository / "scripts" / "memtrain"
    plan = floors()
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert modules == set(plan), "the table in memtrain/__init__.py lists other modules"
    for name in modules:
        for node in ast.walk(ast.parse((package / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("memtrain"):
                below = (
                    [alias.name for alias in node.names]
                    if node.module == "memtrain"
                    else [node.module.split(".")[1]]
                )
                for other in below:
                    assert plan[other] < plan[name] or (plan[other] == plan[name] == 0), (
                        f"{name} (floor {plan[name]}) imports {other} (floor {plan[other]})"
                    )


def test_every_rule_has_its_script_and_every_script_its_rule(repository):
    rules = set()
    for path in repository.glob("rules/*.smk"):
        rules |= set(re.findall(r"^\s*(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE))
    # status is for people, beside a run.
    assert {path.stem for path in repository.glob("scripts/*.py")} == rules | {"status"}


def test_no_source_file_is_too_long(repository):
    for folder in ("scripts", "rules", "tests", "benchmarks"):
        for path in (repository / folder).rglob("*"):
            if path.suffix in (".py", ".smk"):
                assert len(path.read_text().splitlines()) <= 400, path
    assert len((repository / "Snakefile").read_text().splitlines()) < 60


@pytest.fixture
def code(tmp_path):
    files = {
        "script.py": "import os, package.one\nfrom package import two\n",
        "package/__init__.py": "from package.base import x\n",
        "package/base.py": "x = 1\n",
        "package/one.py": "def later():\n    from .three import y\n",
        "package/two.py": "import numpy\n",
        "package/three.py": "y = 2\n",
        "package/unused.py": "z = 3\n",
        "own/models.py": "from own import layers\n",
        "own/layers.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def names(files, root):
    return [str(path.relative_to(root)) for path in files]


def test_reachable_files_are_found_through_imports(code):
    assert names(reachable_files(code / "script.py", [code]), code) == [
        "script.py",
        "package/__init__.py",
        "package/base.py",
        "package/one.py",
        "package/three.py",
        "package/two.py",
    ]


def test_files_of_a_module_of_ones_own(code):
    assert names(module_files("own.models", [code]), code) == ["own/layers.py", "own/models.py"]
    assert module_files("torch.nn", [code]) == []


def test_reading_finds_what_importing_loads(repository):
    """The reading is checked against Python itself, for every script."""
    import subprocess
    import sys

    scripts = repository / "scripts"
    for script in scripts.glob("*.py"):
        program = (
            f"import sys; sys.path.insert(0, {str(scripts)!r}); import {script.stem};"
            "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('memtrain')))"
        )
        loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
        assert set(loaded) <= {str(path) for path in reachable_files(script, [scripts])}
