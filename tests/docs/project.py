"""A copy of the repository in which the commands of a page are run, as a reader would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.docs.pages import Block, Marker, Page
from tests.docs.transcripts import Call, matches, read_calls
from tests.programs import search_path

_SECONDS = 300
_LINES_KEPT = 60
_SHELLS = ("bash", "console")
#: A key of a configuration, and one that cannot stand beside it.
_ALTERNATIVES = (("folds", "splits"), ("import", "mock"), ("mock", "import"))


class Project:
    """The folder of a page: the repository, and what its blocks have made so far.

    Attributes:
        folder: the copy of the repository.
        directory: where the next command runs.
        failures: what went otherwise than the page says, with the place in the page.
        outputs: the calls that were made, and what they printed.
    """

    def __init__(self, folder: Path, page: Page):
        self.folder = folder
        self.directory = folder
        self.failures: list[str] = []
        self.outputs: list[tuple[Call, str]] = []
        self._page = page

    def follow(self) -> None:
        """Do everything that the page says, in order."""
        for step in self._page.steps:
            if isinstance(step, Marker):
                self._prepare(step)
            elif not step.has("not run"):
                self._do(step)

    def _prepare(self, marker: Marker) -> None:
        if marker.kind == "in":
            self.directory = self.folder / marker.text
            self.directory.mkdir(parents=True, exist_ok=True)
            return
        status, printed = self._run(marker.text)
        if status:
            self.failures.append(f"{self._page.path}: setup: {marker.text}\n{printed}")

    def _do(self, block: Block) -> None:
        if block.file_name:
            path = self.folder / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        if (changed := block.told("change")) is not None:
            path = self.folder / changed
            content = merged(yaml.safe_load(path.read_text()), yaml.safe_load(block.text))
            path.write_text(yaml.safe_dump(content, sort_keys=False))
        if block.language == "table":
            self._compare_table(block)
        elif block.language == "python":
            self._run_python(block)
        elif block.language in _SHELLS:
            has_prompts = block.language == "console"
            for call in read_calls(block.text, block.line, has_prompts=has_prompts):
                self._call(call, numbers_vary=block.has("numbers vary"))

    def _compare_table(self, block: Block) -> None:
        text = (self.folder / (block.told("table") or "")).read_text()
        tables = [table for table in text.split("\n\n") if table.startswith("|")]
        if not any(matches(block.text, table, numbers_vary=True) for table in tables):
            shown = "\n\n".join(tables)
            self.failures.append(f"{self._page.path}:{block.line}: no such table in\n{shown}")

    def _run_python(self, block: Block) -> None:
        program = self.folder / (block.file_name or "block.py")
        program.write_text(block.text)
        status, printed = self._run(f"python {program}")
        if status:
            self.failures.append(f"{self._page.path}:{block.line}\n{block.text}\n{printed}")

    def _call(self, call: Call, *, numbers_vary: bool) -> None:
        status, printed = self._run(call.command)
        place = f"{self._page.path}:{call.line}: {call.command}"
        self.outputs.append((call, printed))
        if call.output is None:
            if status:
                self.failures.append(f"{place}\nended with status {status}:\n{printed}")
        elif not matches(call.output, printed, numbers_vary=numbers_vary):
            self.failures.append(f"{place}\nprinted\n{printed}\nand not\n{call.output}")

    def _run(self, command: str) -> tuple[int, str]:
        noted = self.folder / ".directory"
        # The next command begins where this one has led to.
        program = f"{command}\nstatus=$?\npwd > {noted}\nexit $status\n"
        done = subprocess.run(
            ["bash", "-c", program],
            cwd=self.directory,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
        )
        if noted.exists():
            self.directory = Path(noted.read_text().strip())
            noted.unlink()
        return done.returncode, "\n".join(done.stdout.splitlines()[-_LINES_KEPT:])

    def _environment(self) -> dict[str, str]:
        home = {"HOME": str(self.folder), "COLUMNS": "160"}
        folders = {"PATH": search_path(), "PYTHONPATH": str(self.folder / "scripts")}
        return {**os.environ, **home, **folders}


def merged(whole: dict, part: dict) -> dict:
    """Return a configuration with the keys of a part in place of those that exclude them."""
    excluded = {excluded for key, excluded in _ALTERNATIVES if key in part}
    result = {key: value for key, value in whole.items() if key not in excluded}
    for key, value in part.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        # Another model or optimizer has arguments of its own; other splits or another sweep are
        # other trainings.
        goes_on = both and "name" not in value and key not in ("splits", "sweep")
        result[key] = merged(result[key], value) if goes_on else value
    return result


def copy_of_repository(repository: Path, folder: Path) -> Path:
    """Copy the files of the repository that git does not ignore, as a commit of their own."""
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=repository
    )
    for name in listed.decode().split("\0"):
        if name and (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, folder / name)
    # In one file, since every page has a copy of all files.
    for command in ("init -q", "add -A", "commit -q -m copy", "repack -a -d -q"):
        author = ["-c", "user.name=tests", "-c", "user.email=tests@localhost"]
        subprocess.run(["git", *author, *command.split()], cwd=folder, check=True)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder
