"""The layout of ``results/`` is spelled in one module, and as patterns in the rules."""

import ast
import re
from pathlib import Path, PurePath

import pytest

from memtrain.config.results import ResultsLayout, SplitLayout, split_benchmark
from memtrain.core.errors import UserError

LAYOUT = ResultsLayout.of_dataset("mock")

#: Modules that may spell such names, with the reason.
ALLOWED = {
    "config/results.py": "this is the place",
}


def paths_of(layout):
    """Return all paths that properties of a layout give."""
    properties = [name for name, value in vars(type(layout)).items() if isinstance(value, property)]
    return [getattr(layout, name) for name in properties]


def names_in_results():
    """Return the names of the files and of the folders below ``results/<dataset>``."""
    paths = [*paths_of(LAYOUT), *paths_of(LAYOUT.split("a")), LAYOUT.state("a").parent]
    files = {path.name for path in paths if path.suffix}
    folders = {path.name for path in paths if not path.suffix}
    return files, folders


def spelled_names(path, files, folders):
    """Yield the literals of a module that spell a name below ``results/``."""
    # Snakemake's block of `name=value,` lines is Python when something stands above it that is.
    code = path.read_text().replace("\npathvars:\n", "\nif True:\n")
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Constant(value=str(text)) if " " not in text:
                if PurePath(text).name in files:
                    yield text
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(name))):
                if name in folders:
                    yield name


@pytest.mark.slow
def test_no_other_module_spells_a_path_below_results(repository):
    files, folders = names_in_results()
    assert {"split.json", "data.npy"} <= files
    assert {"splits", "state", "lineage"} <= folders
    scripts = repository / "scripts"
    package = scripts / "memtrain"
    modules = [*scripts.rglob("*.py"), repository / "rules" / "common.smk"]
    allowed = {package / name for name in ALLOWED}
    spelled = {
        str(path.relative_to(repository)): names
        for path in modules
        if path not in allowed and (names := sorted(spelled_names(path, files, folders)))
    }
    assert spelled == {}


def test_the_rules_write_the_paths_of_the_layout(repository):
    """Snakemake's patterns have to be literals, so they are compared."""
    text = "".join(path.read_text() for path in repository.glob("rules/*.smk"))
    patterns = set(re.findall(r'"<results>/([^"]*)"', text))
    split = LAYOUT.split("{split}")
    benchmark = split_benchmark(LAYOUT.benchmarks, "train", "{split}")
    # What a training cost is a parameter of its rule, and no output.
    made = [path for path in paths_of(split) if path != split.performance]
    expected = [LAYOUT.data, LAYOUT.source, LAYOUT.manifest, *made, benchmark]
    assert {str(path.relative_to(LAYOUT.root)) for path in expected} <= patterns


def test_the_only_dataset_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"results/<dataset>/config\.yaml: there is no such file"):
        ResultsLayout.find()
    for name in ("one", "two", "unfinished"):
        Path("results", name).mkdir(parents=True)
    Path("results/one/config.yaml").touch()
    assert ResultsLayout.find() == ResultsLayout.of_dataset("one")
    Path("results/two/config.yaml").touch()
    with pytest.raises(UserError, match="name one of results/one, results/two"):
        ResultsLayout.find()
    assert ResultsLayout.find("results/two").split("a") == SplitLayout(Path("results/two/splits/a"))
    with pytest.raises(UserError, match=r"of a project. Name a dataset in it: .*/one, .*/two\."):
        ResultsLayout.find(tmp_path)
