"""The package as others install it: outside of the repository, with what it requires alone."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement

from memtrain.workflow.result_code import code_digest, script_code
from tests.docs.pages import read_page
from tests.programs import quick_python, starting_quickly

#: One process builds the wheel and installs it for all of these tests.
pytestmark = pytest.mark.xdist_group("package")


@pytest.fixture(scope="session")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def example(repository):
    """Return the program of the README that uses memtrain as a library."""
    blocks = read_page(repository / "README.md").blocks
    (program,) = [
        block.text
        for block in blocks
        if block.language == "python" and re.search(r"^(from|import) memtrain", block.text, re.M)
    ]
    return program


def test_the_wheel_holds_the_package_and_its_assets(wheel, repository):
    package = repository / "scripts/memtrain"
    expected = {
        str(path.relative_to(repository / "scripts"))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("memtrain/")}
    assert {name for name in held if not name.startswith("memtrain/carried/")} == expected
    assert "memtrain/py.typed" in held
    assert any("page/assets/" in name for name in held)


def test_the_wheel_carries_the_workflow(wheel, repository):
    folders = ("rules", "profiles", "schemas", "report", "envs")
    files = [repository / "Snakefile", *repository.glob("scripts/*.py")]
    files.append(repository / "examples/stdlib_gpt/gpt.py")  # which `memtrain init` writes
    files += [path for name in folders for path in (repository / name).rglob("*")]
    expected = {
        str(path.relative_to(repository))
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        carried = {name.removeprefix("memtrain/carried/") for name in names if "/carried/" in name}
        command = archive.read(next(name for name in names if name.endswith("entry_points.txt")))
    assert carried == expected
    assert b"memtrain = memtrain.frontdoor.console:main" in command


def test_the_command_says_what_the_workflow_needs(installed, tmp_path):
    command = [Path(installed).parent / "memtrain", "init", "x.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={})
    assert done.returncode == 1
    assert "pip install 'memtrain[workflow]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_command_works_from_the_wheel(wheel, tmp_path):
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "packages")
    (tmp_path / "project").mkdir()
    rows = [f"{number},{number % 7},{3 * number + number % 7}" for number in range(200)]
    (tmp_path / "project/own.csv").write_text("\n".join(["size,kind,price", *rows]) + "\n")
    program = tmp_path / "command.py"
    program.write_text("import sys; from memtrain.frontdoor.console import main; sys.exit(main())")

    def memtrain(*words):
        done = subprocess.run(
            [quick_python(), program, *words],
            cwd=tmp_path / "project",
            capture_output=True,
            text=True,
            env=starting_quickly() | {"PYTHONPATH": str(tmp_path / "packages")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    split = "results/own/splits/all"
    memtrain("init", "own.csv", "--target", "price")
    memtrain("run", "--cores", "2")
    assert "1 finished" in memtrain("status")
    assert " 0 findings" in memtrain("lineage", "verify")
    assert "own.csv" in memtrain("lineage", "explain", f"{split}/model.safetensors")
    memtrain("predict", "--split", split, "--data", "own.csv", "--predictions", "own.npy")
    assert "differ by at most" in memtrain("export", split, "exported")
    assert "nothing to remove" in memtrain("clean", "--yes")


def test_the_example_of_the_readme_runs_outside_of_the_repository(installed, repository, tmp_path):
    (tmp_path / "program.py").write_text(example(repository))
    done = subprocess.run(
        [installed, "program.py"], cwd=tmp_path, capture_output=True, text=True, env={}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_public_name_comes_without_what_only_the_workflow_needs(installed, tmp_path):
    program = (
        "import memtrain.api, importlib.util, sys\n"
        "for name in memtrain.api.__all__: getattr(memtrain, name)\n"
        "assert importlib.util.find_spec('snakemake') is None\n"
        "print(memtrain.__file__)\n"
    )
    printed = subprocess.check_output([installed, "-c", program], cwd=tmp_path, env={}, text=True)
    assert "site-packages/memtrain/__init__.py" in printed


def test_dependencies_are_those_that_are_pinned_and_tested(project):
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for line in [line for group in groups for line in group]:
        requirement = Requirement(line)
        tested = version(requirement.name).split("+")[0]
        assert requirement.specifier.contains(tested), line


def test_the_workflow_needs_what_the_requirements_list(project, repository):
    text = (repository / "envs/requirements.txt").read_text()
    used, heading, _ = text.partition("# Dependencies of these.")
    assert heading
    listed = {name.lower() for name in re.findall(r"^([\w.-]+)==", used, re.MULTILINE)}
    named = [*project["dependencies"], *project["optional-dependencies"]["workflow"]]
    assert {Requirement(line).name for line in named} == listed


@pytest.mark.parametrize("extra", ["lineage", "slurm", "blake3", "docs"])
def test_extras_are_files_of_requirements(project, repository, extra):
    text = (repository / f"envs/requirements-{extra}.txt").read_text()
    for line in project["optional-dependencies"][extra]:
        assert re.search(rf"^{Requirement(line).name}==", text, re.MULTILINE), line


@pytest.mark.parametrize("script", ["train", "evaluate", "lineage"])
def test_the_code_of_a_script_is_found_where_the_package_is_installed(
    installed, repository, tmp_path, script
):
    beside = repository / "scripts" / f"{script}.py"
    alone = Path(shutil.copy(beside, tmp_path))
    program = (
        "import sys; from pathlib import Path\n"
        "from memtrain.workflow.result_code import code_digest, script_code\n"
        "files = script_code(Path(sys.argv[1]))\n"
        "print(code_digest(files), {str(file.path) for file in files})\n"
    )
    printed = subprocess.check_output([installed, "-c", program, alone], env={}, text=True)
    digest, paths = printed.split(" ", 1)
    assert digest == code_digest(script_code(beside))
    assert str(repository) not in paths


def test_the_citation_is_of_this_version(project, repository):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]


def test_what_loads_a_model_names_the_package_that_it_lacks(installed, tmp_path):
    program = (
        "import memtrain\n"
        "try:\n"
        "    memtrain.load_model('splits/one')\n"
        "except memtrain.UserError as error:\n"
        "    print(error)\n"
    )
    printed = subprocess.check_output([installed, "-c", program], cwd=tmp_path, env={}, text=True)
    assert re.search(r"the package \w+ is not installed", printed)
    assert "memtrain[inference]" in printed
