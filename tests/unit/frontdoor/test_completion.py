"""What bash and zsh complete, asked of real shells."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from tests.programs import quick_python

pytestmark = pytest.mark.slow

CONFIGURATION = """\
dataset: {name: d, mock: {rows: 100}}
splits:
  # a comment
  first: {train: [0, 50]}
  second:
    train: [0, 50]
training:
  epochs: 1
"""


@pytest.fixture(scope="module")
def scripts(repository, tmp_path_factory):
    """The files with the scripts of both shells."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh"):
        command = [quick_python(), repository / "scripts/memtrain_command.py", "completion", shell]
        (folder / shell).write_bytes(
            subprocess.run(command, capture_output=True, check=True).stdout
        )
    return folder


@pytest.fixture
def project(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    (tmp_path / "results/d/splits/earlier").mkdir(parents=True)
    (tmp_path / "houses.csv").write_text("x,y\n")
    return tmp_path


@pytest.fixture
def in_bash(scripts, project):
    """A function that returns what bash offers for a line; the cursor stands at its end."""

    def complete(line):
        words = line.split(" ")
        program = (
            f'source {scripts}/bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _memtrain;'
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        command = ["bash", "--norc", "-c", program, "memtrain", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=project, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return complete


def test_bash_completes_commands(in_bash, repository):
    everything = in_bash("memtrain ")
    assert {"init", "run", "status", "lineage", "predict", "completion"} <= set(everything)
    assert in_bash("memtrain li") == ["lineage"]
    assert {"impact", "accept", "explain"} <= set(in_bash("memtrain lineage "))
    assert in_bash("memtrain lineage exp") == ["explain", "export"]


def test_bash_completes_options_and_their_values(in_bash):
    assert in_bash("memtrain init houses.csv --ta") == ["--target", "--task"]
    assert in_bash("memtrain init houses.csv --task ") == ["regression", "classification"]
    assert in_bash("memtrain run --dry") == ["--dry-run"]
    assert in_bash("memtrain lineage impact --ro") == ["--rows"]
    assert in_bash("memtrain lineage --results ") == in_bash("memtrain lineage ")
    assert in_bash("memtrain completion z") == ["zsh"]
    assert "--records" not in in_bash("memtrain predict --")


def test_bash_completes_names_of_splits(in_bash):
    assert in_bash("memtrain lineage accept ") == ["first", "second", "earlier"]
    assert in_bash("memtrain lineage accept first s") == ["second"]
    assert in_bash("memtrain track send --split e") == ["earlier"]


def test_bash_leaves_files_to_itself(in_bash):
    assert in_bash("memtrain init hou") == []
    assert in_bash("memtrain init houses.csv --target ") == []


def typed(command, setup, line, awaited, folder):
    """Return what an interactive shell shows after a line and a tab, up to a text."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "PS1": "$ "}
        os.execvpe(command[0], command, variables)
    try:
        os.write(terminal, f"{setup}; echo rea''dy\n".encode())
        read_until(terminal, "ready\r\n")
        os.write(terminal, f"{line}\t".encode())
        return read_until(terminal, awaited)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def read_until(terminal, awaited, seconds=30):
    """Read what a terminal shows, up to a text, or for some seconds."""
    shown, end = "", time.monotonic() + seconds
    while awaited not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(terminal, 4096).decode())
    return shown


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {}"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source {}"),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("memtrain lin", "memtrain lineage"),
        ("memtrain lineage wi", "memtrain lineage withdraw"),
        ("memtrain init ho", "memtrain init houses.csv"),
        ("memtrain init houses.csv --targ", "--target"),
        ("memtrain init houses.csv --task reg", "--task regression"),
        ("memtrain lineage accept sec", "accept second"),
    ],
)
def test_a_shell_completes_what_is_typed(scripts, project, shell, line, completed):
    command, setup = SHELLS[shell]
    if shutil.which(shell) is None:
        assert "MEMTRAIN_TESTS_NEED_ZSH" not in os.environ, "zsh is missing"
        pytest.skip(f"{shell} is not installed")
    assert completed in typed(command, setup.format(scripts / shell), line, completed, project)
