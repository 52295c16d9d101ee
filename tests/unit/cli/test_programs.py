"""How scripts start and end, and what they say."""

import ast
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from memtrain.lineage.records.record_store import RecordStore
from tests.programs import quick_python

pytestmark = pytest.mark.slow

SCRIPTS = [
    "generate_data",
    "import_data",
    "check_components",
    "index_shards",
    "resolve_splits",
    "train",
    "evaluate",
    "draw",
    "summarize",
    "status",
    "clean",
    "lineage",
    "track",
    "memtrain_command",
]


TRAIN_OUTPUTS = ["--model", "m", "--history", "h", "--performance", "p"]


def run(repository, script, *arguments, cwd=None, **environment):
    return subprocess.run(
        [quick_python(), repository / "scripts" / f"{script}.py", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
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


@pytest.mark.parametrize(
    ("script", "arguments", "wrong"),
    [
        (
            "generate_data",
            ["--threads", "0"],
            "--threads: '0' is not a whole number from 1 to 4,096",
        ),
        ("generate_data", ["--threads", "1000000"], "--threads: '1000000' is not"),
        ("index_shards", ["--rows-per-shard", "²"], "--rows-per-shard: '²' is not a whole number"),
        ("index_shards", ["--rows-per-shard", "0"], "--rows-per-shard: '0' is not"),
        ("train", ["--attempt", "9" * 5000], "is not a whole number from 1 to"),
        ("train", ["--max-minutes", "inf"], "--max-minutes: 'inf' is not a number of minutes"),
        ("train", ["--max-minutes", "nan"], "--max-minutes: 'nan' is not"),
    ],
)
def test_numbers_that_no_program_can_use_are_refused(repository, script, arguments, wrong):
    done = run(repository, script, *arguments)
    assert done.returncode == 2
    assert wrong in done.stderr.splitlines()[-1]


def write_few_rows(folder):
    return ["--settings", "{rows: 10}", "--data", folder / "d.npy", "--source", folder / "s.json"]


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-2"])
def test_a_terminal_without_a_character_gets_an_escape(repository, tmp_path, encoding):
    folder = tmp_path / "\u0100²"
    folder.mkdir()
    done = run(repository, "generate_data", *write_few_rows(folder), PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert "\\u0100\\xb2/d.npy: 10 rows" in done.stdout


def test_output_that_cannot_be_written_fails_the_run_and_its_record(repository, tmp_path):
    records = tmp_path / "records"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [
                sys.executable,
                repository / "scripts/generate_data.py",
                *write_few_rows(tmp_path),
                *("--records", records),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "generate_data.py: error: standard output, or a file that the system does not name: "
        "No space left on device."
    ]
    store = RecordStore(records)
    assert {store.read(name).state for name in store.names()} == {"failed"}


def test_a_module_that_leaves_while_it_trains_fails_the_training(
    repository, tmp_path, resolve, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaving.py").write_text(
        "import os, sys, torch\n"
        "class Net(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        if 'LEAVE' in os.environ:\n"
        "            sys.exit(0)\n"
        "        return super().forward(x)\n"
    )
    settings = {"model": {"name": "leaving:Net"}, "batch_size": 2}
    data, recipe = resolve(np.ones((8, 2), "f4"), np.ones(8, "f4"), settings)
    recipe.write(tmp_path / "split.json")
    arguments = ["--data", data, "--split", tmp_path / "split.json", *TRAIN_OUTPUTS]
    done = run(repository, "train", *arguments, cwd=tmp_path, LEAVE="now")
    assert done.returncode == 1
    assert "leaving.py, line 5: this called sys.exit(0)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m").exists()


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


@pytest.mark.parametrize("script", ["lineage", "status", "clean"])
def test_ctrl_c_during_the_imports_leaves_no_traceback(repository, tmp_path, script):
    program = subprocess.Popen(
        [sys.executable, "-X", "importtime", repository / "scripts" / f"{script}.py", "--help"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Even where the tests run in the background of a script, which ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in program.stderr:
        if line.rstrip().endswith("memtrain.core.errors"):
            program.send_signal(signal.SIGINT)
            break
    printed, errors = program.communicate()
    assert program.returncode == -signal.SIGINT
    assert "Traceback" not in errors
    assert printed == ""
