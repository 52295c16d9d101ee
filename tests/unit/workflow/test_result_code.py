"""Which code a result depends on, and which code a script may reach at all."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from memtrain.config.training import TrainingSettings
from memtrain.training.stopping import STOPPED
from memtrain.workflow.result_code import (
    UNRELATED_CODE,
    ResultCode,
    own_code,
    own_modules,
    result_code,
    script_code,
)
from tests.sharing import made_once
from tests.trainings import Training

#: What every script that records its run reaches, beside what its results depend on.
RECORDING = {"cli", "lineage/records", "workflow", "config", "core", "system"}

#: Where the code of trackers lies, which a training starts as programs of their own.
TRACKING = {"train": {"tracking"}}

#: The folders of what knows how rows lie in one file or in many.
ROWS = {"data", "data/formats", "data/streams"}

#: The folders of the package that the results of a script may depend on.
RESULTS = {
    "generate_data": {"config", "core", "system"} | ROWS,
    "import_data": {"config", "core", "data/tables", "system"} | ROWS,
    "describe_files": {"config", "core", "system"} | ROWS,
    "index_shards": {"config", "core", "system"} | ROWS,
    "resolve_splits": {
        *("components", "config", "core", "loading", "metrics", "planning"),
        *("recipes", "system", *ROWS),
        "data/tables",  # Withdrawn rows are looked for in the source.
    },
    "train": {
        *("components", "config", "core", "loading", "recipes", "system", *ROWS),
        *("metrics", "training", "training/accumulation", "training/distributed"),
    },
    "evaluate": {
        *("components", "config", "core", "evaluation", "loading", "recipes", "system", *ROWS),
        *("metrics", "training"),
    },
    "draw": {
        *("config", "core", "evaluation", "metrics", "recipes", "system", "training", *ROWS),
        *("reporting", "reporting/figures"),
    },
    "summarize": {
        *("config", "core", "evaluation", "recipes", "system", "training", *ROWS),
        *("reporting", "reporting/figures"),
        *("data/tables", "lineage/index", "lineage/page", "lineage/queries", "lineage/records"),
    },
}

RULES = sorted(RESULTS)

#: What takes long to import. PyTorch's compiler and its shards take as long as all the rest of it.
LARGE = {
    *("torch", "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "torchmetrics"),
    *("matplotlib", "openlineage", "pyarrow", "snakemake"),
    "memtrain.reporting.summary",
}

#: Which of that each script may import before it knows what it has to do. An optimizer imports the
#: compiler when it is made, and torchmetrics draws with matplotlib where that is installed.
LARGE_IMPORTS = {
    "check_components": {"pyarrow", "torch"},
    "clean": set(),
    "describe_files": set(),
    "describe_table": {"pyarrow"},
    "draw": set(),
    "evaluate": {"matplotlib", "torch", "torchmetrics"},
    "generate_data": set(),
    "import_data": {"pyarrow"},
    "index_shards": set(),
    "launch": set(),
    "lineage": set(),
    "memtrain_command": set(),
    "export": {"pyarrow", "torch"},
    "predict": {"pyarrow", "torch"},
    "resolve_splits": {"torch"},
    "status": set(),
    "summarize": {"memtrain.reporting.summary"},
    "track": set(),
    "train": {"torch", "torch.distributed.tensor"},
}


def folders(names):
    """Return the folders below memtrain that files of these names lie in."""
    folders = {str(Path(name).parent.relative_to("memtrain")) for name in names if "/" in name}
    # The assets of a package belong to its modules; parents of folders hold an empty __init__.py.
    return {folder.partition("/assets")[0] for folder in folders} - {".", "lineage"}


@pytest.mark.parametrize("script", RULES)
def test_the_folders_that_results_depend_on(repository, script):
    code = result_code(repository / f"scripts/{script}.py")
    assert folders(file.name for file in code) == RESULTS[script]


@dataclass(frozen=True)
class Loaded:
    """What importing a script loads: the names of all modules, and memtrain's files."""

    names: set[str]
    files: set[str]


#: Imports each script in a fork, and writes what that has loaded. The forks have packages that are
#: not large from their parent; those of scripts that may import PyTorch have it, too, which the
#: parent imports last.
IMPORTING = """
import gc, importlib, json, os, sys
import ml_dtypes, numpy, psutil, pydantic.main, safetensors.numpy, yaml
gc.disable()
sys.path.insert(0, sys.argv[1])
for names in sys.argv[3:]:
    if names == "torch":
        import torch
        continue
    if not os.fork():
        importlib.import_module(names)
        files = [m.__file__ for n, m in sys.modules.items() if n.startswith("memtrain")]
        with open(f"{sys.argv[2]}/{names}.json", "w") as file:
            json.dump([list(sys.modules), files], file)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="session")
def loaded_by(repository, tmp_path_factory):
    """Return a function: what importing a script loads."""

    def make(folder):
        scripts = sorted(LARGE_IMPORTS, key=lambda script: "torch" in LARGE_IMPORTS[script])
        first = next(n for n, script in enumerate(scripts) if "torch" in LARGE_IMPORTS[script])
        order = [*scripts[:first], "torch", *scripts[first:]]
        command = [sys.executable, "-c", IMPORTING, repository / "scripts", folder, *order]
        subprocess.run(command, check=True)

    folder = made_once(tmp_path_factory, "imports", make)
    return lambda script: Loaded(*map(set, json.loads((folder / f"{script}.json").read_text())))


def test_the_imports_of_every_script_are_listed(repository):
    assert {path.stem for path in (repository / "scripts").glob("*.py")} == LARGE_IMPORTS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(LARGE_IMPORTS))
def test_a_script_loads_what_reading_finds_and_no_large_package_that_it_does_not_need(
    repository, loaded_by, script
):
    scripts = repository / "scripts"
    read = {str(file.path) for file in script_code(scripts / f"{script}.py")}
    loaded = loaded_by(script)
    assert loaded.files <= read
    if script in RESULTS:
        allowed = RESULTS[script] | RECORDING | TRACKING.get(script, set())
        for files in (read, loaded.files):
            assert folders(os.path.relpath(path, scripts) for path in files) <= allowed
    assert loaded.names & LARGE <= LARGE_IMPORTS[script]


def test_everything_outside_is_there(repository):
    scripts = repository / "scripts"
    missing = [name for name in UNRELATED_CODE if not (scripts / name).exists()]
    assert missing == []


@pytest.mark.slow
def test_the_package_itself_leads_nowhere(tmp_path, repository):
    """`import memtrain` offers the public names, and a script that imports it reaches no other."""
    (tmp_path / "script.py").write_text("import memtrain\n")
    assert [file.name for file in script_code(tmp_path / "script.py")] == [
        "script.py",
        "memtrain/__init__.py",
    ]
    program = "import sys, memtrain; print([n for n in sys.modules if n.startswith('memtrain.')])"
    environment = os.environ | {"PYTHONPATH": str(repository / "scripts")}
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    assert loaded == "[]\n"


@pytest.fixture
def scripts(tmp_path, repository):
    """A copy of the scripts, to edit."""
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(repository / "scripts", tmp_path / "scripts", ignore=ignored)


def digest(scripts, script):
    return digests(scripts, [script])[script]


def digests(scripts, names=RULES):
    """Return the digests of the code of scripts; every file is read once."""
    code = ResultCode(scripts)
    return {name: code.digest(f"{name}.py") for name in names}


@pytest.fixture(scope="module")
def before(repository):
    """The digests of the code as it is, which are those of a copy."""
    return digests(repository / "scripts")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("memtrain/lineage/records/privacy.py", {"summarize"}),
        ("memtrain/reporting/summary.py", {"summarize"}),
        ("memtrain/reporting/figures/split.py", {"draw"}),
        ("memtrain/reporting/figures/style.py", {"draw", "summarize"}),
        ("memtrain/lineage/page/assets/page.css", {"summarize"}),
        ("memtrain/cli/entry_point.py", set()),
        ("memtrain/workflow/result_code.py", set()),
        ("memtrain/system/progress.py", set()),
        ("memtrain/training/trainer.py", {"train"}),
        ("memtrain/components/losses.py", {"resolve_splits", "train", "evaluate"}),
        ("memtrain/training/history.py", {"train", "evaluate", "draw", "summarize"}),
        ("memtrain/planning/dry_run.py", {"resolve_splits"}),
        ("memtrain/core/errors.py", set(RULES)),
        ("train.py", {"train"}),
    ],
)
def test_an_edit_changes_the_digests_of_what_depends_on_the_file(scripts, before, file, changed):
    append_line(scripts / file)
    after = digests(scripts)
    assert {script for script in RULES if after[script] != before[script]} == changed


@pytest.mark.slow
def test_a_comment_and_a_docstring_change_no_digest(scripts, before):
    # These mention `inspect`, `__doc__` and `torch.jit`, by which code may read itself.
    whole = ("config/objects.py", "config/training.py", "system/opened_files.py")
    for file in {*scripts.rglob("*.py")} - {scripts / "memtrain" / name for name in whole}:
        append_line(file, "# a comment\n")
        file.write_text(file.read_text().replace('"""', '"""Another docstring: ', 1))
    assert digests(scripts) == before


def test_the_digest_knows_names_by_their_folders_and_not_where_these_lie(scripts, tmp_path):
    before = digest(scripts, "train")
    moved = scripts.rename(tmp_path / "moved")
    assert digest(moved, "train") == before
    one, other = moved / "memtrain/core/__init__.py", moved / "memtrain/loading/__init__.py"
    one.write_text("ONE = 1\n")
    first = digest(moved, "train")
    one.write_text("")
    other.write_text("ONE = 1\n")
    assert len({before, first, digest(moved, "train")}) == 3


@pytest.mark.slow
def test_a_checkpoint_outlives_an_edit_outside_and_none_inside(scripts, tmp_path, resolve):
    rows = np.random.default_rng(0).random((4000, 4), dtype=np.float32)
    data, recipe = resolve(rows, rows.sum(1), {"batch_size": 4, "epochs": 20})
    training = Training(tmp_path / "training", data, recipe)
    training.script = scripts / "train.py"
    short = ("--max-minutes", "0.01")
    training.run(*short, status=STOPPED)
    for file in ("lineage/records/privacy.py", "cli/entry_point.py", "system/progress.py"):
        append_line(scripts / "memtrain" / file)
    assert "going on after step" in training.run(*short, status=STOPPED)
    append_line(scripts / "memtrain/core/errors.py")
    said = training.run(*short, status=STOPPED)
    assert "it belongs to another training (another code)" in said
    assert "going on after step" not in said


def append_line(path, line="ADDED = 1\n"):
    with open(path, "a") as file:
        file.write(line)


def test_scripts_beside_which_no_package_lies_use_the_imported_one(scripts, repository, tmp_path):
    """As where memtrain is installed from a wheel."""
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    shutil.copy(scripts / "train.py", alone)
    assert digest(alone, "train") == digest(scripts, "train")
    files = {file.name: file.path for file in result_code(alone / "train.py")}
    assert files["memtrain/core/errors.py"] == repository / "scripts/memtrain/core/errors.py"


def test_code_without_the_package_is_an_error(tmp_path):
    (tmp_path / "script.py").write_text("import os\n")
    with pytest.raises(RuntimeError, match="the package memtrain is neither beside it nor in"):
        result_code(tmp_path / "script.py")


def test_optimizers_and_schedules_are_the_users_own_wherever_they_stand():
    settings = TrainingSettings.model_validate(
        {
            "optimizer": {"name": "a.b:Own", "lr": 1},
            "scheduler": {
                "name": "SequentialLR",
                "schedulers": [
                    "c:function",
                    {
                        "name": "ChainedScheduler",
                        "schedulers": [
                            {"name": "LambdaLR", "lr_lambda": "d:f"},
                            {
                                "name": "MultiplicativeLR",
                                "lr_lambda": {"name": "e:f", "x": "y:z"},
                            },
                        ],
                    },
                ],
                "milestones": ["50%"],
            },
        }
    )
    assert own_modules(settings) == ["a.b", "c", "d", "e"]
    assert own_modules(TrainingSettings()) == []


def test_the_users_own_code(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/models.py").write_text("from own import layers\n")
    (tmp_path / "own/layers.py").write_text("import torch\n")
    (tmp_path / "losses.py").write_text("")
    settings = TrainingSettings.model_validate(
        {"model": "own.models:Net", "loss": "losses:Loss", "transform": "torch.nn:Identity"}
    )
    found = [file.name for file in own_code(settings, tmp_path)]
    assert found == ["losses.py", "own/layers.py", "own/models.py"]
    assert own_code(TrainingSettings(), tmp_path) == []


@pytest.mark.slow
def test_rules_never_wait_for_torch(repository):
    """Every job reads the rules, and they import this folder."""
    folder = repository / "scripts/memtrain/workflow"
    modules = [f"memtrain.workflow.{path.stem}" for path in folder.glob("[!_]*.py")]
    assert len(modules) >= 4
    program = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(repository / "scripts")}
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    assert loaded == "False\n"
