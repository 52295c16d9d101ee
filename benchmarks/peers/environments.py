"""An environment for every peer, so that none decides on the packages of another or of ours."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.catalogue import Program

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = REPOSITORY / ".venv-peers"


class NotInstalledError(Exception):
    """A peer that cannot be installed, with the reason."""


def python_of(program: Program) -> Path:
    """Return the Python that runs a program; make its environment unless it is there.

    Raises:
        NotInstalledError: with what pip had to say.
    """
    if not program.requirements:
        return Path(sys.executable)
    folder = ENVIRONMENTS / program.name
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    # torch comes first and by our pin, so that no peer brings another build of it.
    ours, wanted = [pin("torch"), pin("numpy")], [pin("torch"), *program.requirements]
    lines = "\n".join([*ours, *wanted])
    if not installed.exists() or installed.read_text() != lines:
        run(sys.executable, "-m", "venv", "--clear", str(folder))
        run(str(python), "-m", "pip", "install", "--quiet", *ours)
        run(str(python), "-m", "pip", "install", "--quiet", *wanted)
        installed.write_text(lines)
    return python


def pin(package: str) -> str:
    """Return the project's own requirement of a package."""
    requirements = (REPOSITORY / "envs" / "requirements.txt").read_text()
    return re.search(rf"^{package}==\S+$", requirements, re.MULTILINE)[0]


def run(*command: str) -> None:
    """Run a command, and raise its last error where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalledError((errors or done.stderr.splitlines() or ["no reason given"])[-1])
