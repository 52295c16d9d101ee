"""An environment for every peer, so that no peer decides which versions the others get."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Protocol

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = REPOSITORY / ".venv-peers"


class Installable(Protocol):
    """A program that may need an environment of its own."""

    @property
    def name(self) -> str:
        """Name of the environment."""
        ...

    @property
    def requirements(self) -> tuple[str, ...]:
        """Packages that the program needs in addition to torch and numpy."""
        ...


class NotInstalledError(Exception):
    """A peer cannot be installed, for the reason that the message gives."""


def python_for(program: Installable) -> Path:
    """Return the Python that runs a program, and make its environment if it is missing.

    Raises:
        NotInstalledError: with the error of pip.
    """
    if not program.requirements:
        return Path(sys.executable)
    folder = ENVIRONMENTS / program.name
    python = folder / "bin" / "python"
    installed = folder / "installed.txt"
    # torch comes first and by our pin, so that no peer brings another build of it.
    base = [pin("torch"), pin("numpy")]
    wanted = [pin("torch"), *program.requirements]
    lines = "\n".join([*base, *wanted])
    if not installed.exists() or installed.read_text() != lines:
        run(sys.executable, "-m", "venv", "--clear", str(folder))
        run(str(python), "-m", "pip", "install", "--quiet", *base)
        run(str(python), "-m", "pip", "install", "--quiet", *wanted)
        installed.write_text(lines)
    return python


def pin(package: str) -> str:
    """Return the line of requirements.txt that pins a package."""
    requirements = (REPOSITORY / "envs" / "requirements.txt").read_text()
    return re.search(rf"^{package}==\S+$", requirements, re.MULTILINE)[0]


def run(*command: str) -> None:
    """Run a command.

    Raises:
        NotInstalledError: with the last error of the command, if it fails.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalledError((errors or done.stderr.splitlines() or ["no reason given"])[-1])
