"""How scripts start and end, and what they say."""

import ast
import os
import subprocess
import sys

import pytest

SCRIPTS = [
    "generate_data",
    "import_data",
    "index_shards",
    "resolve_splits",
    "train",
    "evaluate",
    "draw",
    "summarize",
    "status",
    "lineage",
]


TRAIN_OUTPUTS = ["--model", "m", "--history", "h", "--performance", "p"]


def run(repository, script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, repository / "scripts" / f"{script}.py", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_teaches_and_usage_errors_are_2(repository, script):
    helped = run(repository, script, "--help")
    assert helped.returncode == 0
    assert "exit status: 0 " in helped.stdout
    assert len(helped.stdout) > 500
    assert run(repository, script, "--no-such-option").returncode == 2


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("generate_data", ["--settings", "{rows: x}", "--data", "d", "--source", "s"]),
        ("index_shards", ["--data", "none.npy", "--manifest", "m"]),
        (
            "train",
            [
                "--data",
                "d",
                "--split",
                "none.json",
                "--model",
                "m",
                "--history",
                "h",
                "--performance",
                "p",
            ],
        ),
    ],
)
def test_a_mistake_is_1_and_no_traceback(repository, script, arguments):
    done = run(repository, script, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{script}.py: error: ")
    assert "Traceback" not in done.stderr


def test_another_python_than_the_workflows_says_so(repository):
    note = "the workflow runs under /elsewhere/bin/python"
    other = run(repository, "train", "--help", MEMTRAIN_PYTHON="/elsewhere/bin/python")
    assert note in other.stderr
    same = run(repository, "train", "--help", MEMTRAIN_PYTHON=sys.executable)
    assert same.stderr == ""


def test_a_python_without_the_packages_is_named(repository):
    bare = [sys.executable, "-S", "-E", repository / "scripts" / "train.py", "--help"]
    done = subprocess.run(bare, capture_output=True, text=True)
    assert done.returncode == 1
    assert "it has no package numpy, torch" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_old_python_comes_as_far_as_the_check(repository, script):
    """It reads the whole file before it runs the first line."""
    package = repository / "scripts/memtrain"
    names = ("__init__.py", "cli/__init__.py", "cli/environment_check.py", "cli/startup.py")
    check = [package / name for name in names]
    for path in (repository / "scripts" / f"{script}.py", *check):
        ast.parse(path.read_text(), feature_version=(3, 8))


def test_garbage_is_collected_again_once_a_script_has_imported_its_modules(repository, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from memtrain.cli.startup import prepare_imports\n"
        "prepare_imports(__name__)\n"
        "import gc\n"
        "from memtrain.cli.entry_point import run\n"
        "while_importing = gc.isenabled()\n"
        "def main():\n"
        "    print(while_importing, gc.isenabled())\n"
        "    return 0\n"
        "if __name__ == '__main__':\n"
        "    run(main)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(repository / "scripts")}

    def output(*arguments):
        return subprocess.check_output(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, text=True
        )

    assert output(script) == "False True\n"
    assert output("-c", "import script; print(script.while_importing)") == "True\n"


def test_importing_a_module_never_leaves_even_in_a_wrong_environment(repository):
    modules = [
        ".".join(path.relative_to(repository / "scripts").with_suffix("").parts)
        for path in sorted((repository / "scripts/memtrain").rglob("*.py"))
    ]
    program = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError:\n"
        "        pass\n"
        "print('still here')\n"
    )
    folder = repository / "scripts"
    # -S: without the installed packages.
    command = [sys.executable, "-S", "-c", program, *modules]
    wrong = {"PYTHONPATH": str(folder), "MEMTRAIN_PYTHON": "/elsewhere/bin/python"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | wrong)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")


def logged(rank):
    program = (
        "import logging\n"
        "from memtrain.cli.entry_point import run\n"
        "from memtrain.core.errors import UserError\n"
        "log = logging.getLogger('memtrain.some.module')\n"
        "def main():\n"
        "    logging.basicConfig()\n"
        "    log.debug('not shown')\n"
        "    log.info('3 files')\n"
        "    log.warning('one is old')\n"
        "    raise UserError('a is 1', 'b is 2')\n"
        "run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"RANK": rank, "PYTHONPATH": "scripts"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()


def test_messages_go_to_standard_error_and_only_the_first_rank_says_them(repository, monkeypatch):
    monkeypatch.chdir(repository)
    errors = ["-c: error: a is 1", "-c: error: b is 2"]
    assert logged("0") == ["3 files", "warning: one is old", *errors]
    assert logged("1") == errors
