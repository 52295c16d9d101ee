"""What has to hold of the files of a project, and of what a program prints."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import yaml

from campaigns.forked import Ended
from campaigns.outcomes import (
    CRASH,
    HANG,
    LEFT_OVER,
    NOT_TOLD,
    OTHER_BYTES,
    TORN,
    TRACEBACK,
    Problem,
)
from campaigns.sample_project import CONFIGURATION, REPRODUCIBLE, RESULTS
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE

#: Names that differ from run to run, or that are streams and not files written whole.
_UNNAMED = re.compile(
    r"/lineage/(events|started)/|/logs/|/benchmarks/|^\.snakemake/|^withdrawals\.d/|"
    r"/state/files\.json$"
)

#: Files that are written bit by bit, or whose content says nothing.
_NOT_WHOLE = re.compile(r"/logs/|/benchmarks/|^\.snakemake/|/state/\w+/lock$|^withdrawals\.d/")

_TROUBLE = ("Traceback (most recent call last)", "Exception ignored", "Fatal Python error")

#: A path, or the name of a file.
_PATH = re.compile(r"[\w.-]*/[\w./-]+|\b[\w-]+\.(json|jsonl|npy|yaml|csv|md|png|html|sqlite|pt)\b")


def files_of(project: Path) -> dict[str, Path]:
    """Return the files of a project by their paths in it."""
    return {
        str(path.relative_to(project)): path
        for path in sorted(project.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def records_of(project: Path) -> list[str]:
    """Return the records of a project in the order of their runs: their names are random."""
    folder = project / RESULTS.records
    return [str(path.relative_to(project)) for path in sorted(folder.rglob("*.jsonl"))]


def stable_name(project: Path, path: str) -> str:
    """Return the name of a file that is the same in every campaign: records are numbered."""
    records = records_of(project)
    return f"record-{records.index(path)}" if path in records else path


def path_of(project: Path, name: str) -> str:
    """Return the path of a file in a project by its ``stable_name``."""
    number = re.fullmatch(r"record-(\d+)", name)
    return records_of(project)[int(number[1])] if number else name


def reproducible_bytes(project: Path) -> dict[str, bytes]:
    """Return the files that are the same in every run, by their paths."""
    root = project / RESULTS.root
    return {
        str(path.relative_to(project)): path.read_bytes()
        for pattern in REPRODUCIBLE
        for path in sorted(root.glob(pattern))
        if path.is_file()
    }


def differing(project: Path, finished: Path) -> list[Problem]:
    """Return the files that are not, byte for byte, those of a finished project."""
    found, expected = reproducible_bytes(project), reproducible_bytes(finished)
    other = [path for path in sorted(expected) if found.get(path, b"") != expected[path]]
    gone = [
        name
        for name in files_of(finished)
        if not (project / name).exists() and not _UNNAMED.search(name)
    ]
    if _withdrawn_rows(project) != _withdrawn_rows(finished):
        other.append(WITHDRAWALS_FILE)
    return [
        *(Problem(OTHER_BYTES, f"{path} has other bytes") for path in other if path not in gone),
        *(Problem(OTHER_BYTES, f"{path} is gone") for path in gone),
    ]


def torn(project: Path, before: Path, finished: Path) -> list[Problem]:
    """Return the files of which only a part is there.

    A file may be gone, as it was before, as in the finished project, or, where its bytes differ
    from run to run, whole by its own marks. A lock is held or not, whatever the note in it says.

    Args:
        project: the project after a fault.
        before: the project before it.
        finished: a finished project.
    """
    problems = []
    for name, path in files_of(project).items():
        if _is_temporary(name) or _NOT_WHOLE.search(name):
            continue
        content = _bytes(path)
        if content is None or any(_bytes(other / name) == content for other in (before, finished)):
            continue
        if name in reproducible_bytes(finished) or not _is_whole(path, content):
            problems.append(Problem(TORN, f"{name}: {len(content)} bytes"))
    return problems


def left_over(project: Path, *others: Path) -> list[Problem]:
    """Return the files that none of some other projects has."""
    expected = {name for other in others for name in files_of(other)}
    return [
        Problem(LEFT_OVER, _without_chance(name))
        for name in files_of(project)
        if name not in expected and (_is_temporary(name) or not _UNNAMED.search(name))
    ]


def ended_badly(ended: Ended) -> list[Problem]:
    """Return what is wrong with the end of a program, whatever it was to do."""
    last = last_line(ended.output)
    if ended.is_hung:
        return [Problem(HANG, last or "nothing was printed")]
    if ended.signal:
        return [Problem(CRASH, f"signal {ended.signal}: {last}")]
    if any(trouble in ended.output for trouble in _TROUBLE):
        return [Problem(TRACEBACK, last)]
    return []


def not_told(ended: Ended) -> list[Problem]:
    """Return what is wrong with the message of a program that has failed."""
    lines = [line for line in ended.output.splitlines() if re.search("error: |warning: ", line)]
    if not any(_PATH.search(line) for line in lines):
        return [Problem(NOT_TOLD, last_line(ended.output) or f"status {ended.status}, no word")]
    return []


def last_line(output: str) -> str:
    """Return the last line, with what differs from run to run left out."""
    lines = [line for line in output.splitlines() if line.strip()]
    line = lines[-1].strip() if lines else ""
    return _without_chance(line)[:300]


def _without_chance(text: str) -> str:
    """Return a text without ids, temporary folders and temporary names."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", text)
    text = re.sub(r"/\S*/campaigns-\w+/[\w ]+/", "", text)
    return re.sub(r"\.\w{8}\.part", ".*.part", text)


def _withdrawn_rows(project: Path) -> list[Any]:
    """Return the rows of the withdrawals, whose time differs from run to run; none if damaged."""
    content = _bytes(project / WITHDRAWALS_FILE)
    try:
        entries = yaml.safe_load(content or b"{}")[CONFIGURATION["dataset"]["name"]]
        return [entry["rows"] for entry in entries]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError):
        return []


def _is_temporary(name: str) -> bool:
    base = name.rsplit("/", 1)[-1]
    return base.endswith((".part", "-journal", "-wal", "-shm")) or (
        base.startswith(".") and base != ".gitignore" and not name.startswith(".snakemake/")
    )


def _bytes(path: Path) -> bytes | None:
    """Return the content of a regular file; None for anything else, such as a link to a device."""
    return path.read_bytes() if path.is_file() else None


def _is_whole(path: Path, content: bytes) -> bool:
    """Return whether a file whose bytes differ from run to run is complete."""
    try:
        match path.suffix:
            case ".json":
                json.loads(content)
            case ".jsonl":
                return content.endswith(b"\n") and all(map(json.loads, content.splitlines()))
            case ".png":
                return content.endswith(b"IEND\xaeB`\x82")
            case ".html":
                return content.rstrip().endswith(b"</html>")
            case ".sqlite":
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                    return database.execute("pragma integrity_check").fetchone() == ("ok",)
            case ".pt" | ".npy":
                return len(content) > 0
            case _:
                return content.endswith(b"\n")
    except (ValueError, sqlite3.Error):
        return False
    return True
