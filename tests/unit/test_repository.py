"""What holds for the repository as a whole."""

import re

import pytest
import yaml

from memtrain.workflow.reachable_code import module_files, reachable_files


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

    for path in ("requirements.txt", *installed_for_tests(repository)):
        for name, pinned in pins(repository / "envs" / path).items():
            assert version(name).split("+")[0] == pinned, name


def installed_for_tests(repository):
    """Return the files that `requirements-dev.txt` is made of, itself among them."""
    lines = (repository / "envs/requirements-dev.txt").read_text().splitlines()
    included = [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    return [*(name for name in included if name != "requirements.txt"), "requirements-dev.txt"]


def test_every_line_of_the_requirements_is_an_exact_version_given_once(repository):
    for path in sorted((repository / "envs").glob("requirements*.txt")):
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        pinned = [line for line in lines if not line.startswith("-r ")]
        assert len(pinned) == len(pins(path)), path
    main = pins(repository / "envs/requirements.txt")
    together = [*main]
    for path in installed_for_tests(repository):
        together += pins(repository / "envs" / path)
    assert len(together) == len(set(together))


def test_validators_have_versions_of_the_workflow_but_the_one_that_they_refuse(repository):
    main = pins(repository / "envs/requirements.txt")
    validators = pins(repository / "envs/requirements-validators.txt")
    differing = {name for name in set(main) & set(validators) if main[name] != validators[name]}
    assert differing == {"rich"}


def test_every_rule_has_its_script_and_every_script_its_rule(repository):
    rules = set()
    for path in repository.glob("rules/*.smk"):
        rules |= set(re.findall(r"^\s*(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE))
    # These are for people, beside a run.
    people = {"status", "lineage"}
    assert {path.stem for path in repository.glob("scripts/*.py")} == rules | people


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
        "package/two.py": (
            "import numpy, typing\n"
            "if typing.TYPE_CHECKING:\n    import package.unused\nelse:\n    import package.four\n"
        ),
        "package/four.py": "",
        "package/three.py": "y = 2\n",
        "package/unused.py": "z = 3\n",
        "package/assets/style.css": "not Python",
        "package/assets/deep/x.js": "",
        "assets/no_package.txt": "",
        "own/models.py": "from own import layers\n",
        "own/layers.py": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def names(files, root):
    return [str(path.relative_to(root)) for path in files]


def test_reachable_files_are_found_through_imports(code):
    assert names(reachable_files(code / "script.py", [code]), code) == [
        "script.py",
        "package/__init__.py",
        "package/assets/deep/x.js",
        "package/assets/style.css",
        "package/base.py",
        "package/four.py",
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
