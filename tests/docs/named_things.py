"""Checks that what a command names is there: scripts, options, targets, files."""

import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from campaigns.__main__ import CAMPAIGNS
from docs.generate.command_help import help_text, sub_commands

from tests.docs.transcripts import words_of

REPOSITORY = Path(__file__).resolve().parents[2]
#: Made by a command that the pages show.
_BUILT = {"envs/memtrain.sif", "examples/flights/results", "examples/digits/results"}
_TOP_FOLDERS = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {"results"}


def wrong_names(command: str) -> list[str]:
    """Return what a command line names that does not exist; empty if all of it does."""
    wrong = []
    for words in words_of(command):
        if words:
            wrong += _wrong_options(words) + _missing_files(words)
    return [f"{command}: {problem}" for problem in wrong]


def _wrong_options(words: list[str]) -> list[str]:
    program, *arguments = words
    if program == "make":
        targets = [word for word in arguments if "=" not in word]
        return [f"no target {word}" for word in targets if word not in _make_targets()]
    if program == "snakemake":
        return _options_not_in(arguments, _snakemake_help())
    if program == "python" and arguments[:2] == ["-m", "benchmarks"]:
        names = [word for word in arguments[2:] if not word.startswith("-")]
        known = {path.stem for path in (REPOSITORY / "benchmarks").glob("*.py")}
        return [f"no benchmark {word}" for word in names if word not in known]
    if program == "python" and arguments[:2] == ["-m", "campaigns"]:
        names = [word for word in arguments[2:3] if not word.startswith("-")]
        return [f"no campaign {word}" for word in names if word not in CAMPAIGNS]
    if program == "python" and re.search(r"scripts/\w+\.py$", arguments[0]):
        return _wrong_options_of_script(Path(arguments[0]).stem, arguments[1:])
    return []


def _wrong_options_of_script(script: str, arguments: list[str]) -> list[str]:
    if not (REPOSITORY / "scripts" / f"{script}.py").exists():
        return [f"no script {script}"]
    commands = sub_commands(script)
    command = ""
    for word in arguments:
        if f"{command} {word}".strip() in commands:
            command = f"{command} {word}".strip()
        else:
            break
    if commands and not command and "--help" not in arguments and arguments:
        return [f"{script}.py has no command {arguments[0]}"]
    return _options_not_in(arguments, help_text(script, command))


def _options_not_in(arguments: list[str], text: str) -> list[str]:
    options = [word.split("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)]
    return [
        f"no option {option}"
        for option in options
        if option != "--help" and not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)
    ]


def _missing_files(words: list[str]) -> list[str]:
    return [f"no file {word}" for word in words if _names_a_file(word) and not _is_there(word)]


def _names_a_file(word: str) -> bool:
    return word.split("/")[0] in _TOP_FOLDERS and "/" in word and not re.search(r"[*<>{}$:]", word)


def _is_there(word: str) -> bool:
    return (REPOSITORY / word).exists() or any(word.startswith(built) for built in _BUILT)


@lru_cache
def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@lru_cache
def _snakemake_help() -> str:
    return subprocess.check_output([sys.executable, "-m", "snakemake", "--help"], text=True)
