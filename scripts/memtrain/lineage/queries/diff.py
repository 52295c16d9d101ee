"""What differs between two runs: data, code, settings, seed, environment, machine, metrics."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtrain.core.ranges import Range
from memtrain.lineage.queries.explain import short
from memtrain.lineage.records.run_record import FileUse, RunRecord
from memtrain.system.digests import digest_of_file

#: The groups, in the order in which they are shown.
GROUPS = ("data", "code", "settings", "seed", "environment", "machine", "metrics", "results")

#: Facts of a machine that say which one it was, and what it could do.
_MACHINE = ("host", "system", "architecture", "processor", "cores", "memory_bytes", "gpus")

#: Files whose content stands in the settings, thing by thing.
_BY_CONTENT = ("recipe", "configuration")

_GIT_SECONDS = 10


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        what: its name.
        before, after: its two values; None where it is not there.
        lines: the changed lines of a file, where git has them.
    """

    what: str
    before: Any
    after: Any
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.what}: {_shown(self.before)} -> {_shown(self.after)}"


def difference(before: RunRecord, after: RunRecord, code: Path) -> dict[str, list[Change]]:
    """Return what differs between two runs, by group.

    Args:
        before: the record of the one run.
        after: that of the other.
        code: the folder of memtrain, for the changed lines.
    """
    return {
        "data": [*_rows(before, after), *_files(before.inputs, after.inputs)],
        "code": list(_code(before, after, code)),
        "settings": [
            change
            for change in _values(before.parameters, after.parameters)
            if not _is_seed(change.what)
        ],
        "seed": [
            change
            for change in _values(before.parameters, after.parameters)
            if _is_seed(change.what)
        ],
        "environment": [
            Change("python", *versions)
            for versions in [(before.environment.get("python"), after.environment.get("python"))]
            if versions[0] != versions[1]
        ]
        + [
            Change(f"{kind} {change.what}", change.before, change.after)
            for kind in ("packages", "variables")
            for change in _values(before.environment.get(kind, {}), after.environment.get(kind, {}))
        ],
        "machine": [
            change for change in _values(before.machine, after.machine) if change.what in _MACHINE
        ],
        "metrics": list(_values(*(one.details.get("metrics", {}) for one in (before, after)))),
        "results": list(_values(_results(before), _results(after))),
    }


def _is_seed(name: str) -> bool:
    return name == "seed" or name.endswith(".seed")


def _values(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))


def _rows(before: RunRecord, after: RunRecord) -> Iterator[Change]:
    """Yield ranges that differ, and pieces of the same rows with other bytes."""
    parts_before, parts_after = (dict(_parts(one)) for one in (before, after))
    for change in _values(parts_before, parts_after):
        yield Change(f"rows{change.what}", change.before, change.after)
    pieces_before, pieces_after = (dict(_pieces(one)) for one in (before, after))
    for rows in sorted(pieces_before.keys() & pieces_after.keys()):
        old, new = pieces_before[rows], pieces_after[rows]
        if old[1] != new[1]:
            name = f"bytes of rows {rows[1]} of shard {old[0]}"
            yield Change(name, old[1], new[1])


def _parts(record: RunRecord) -> Iterator[tuple[str, list[Range]]]:
    for file in record.inputs:
        for part, ranges in file.rows.items():
            yield (f" of {part}" if part else ""), [str(rows) for rows in ranges]


def _pieces(record: RunRecord) -> Iterator[tuple[tuple[str, Range], tuple[int, str]]]:
    for file in record.inputs:
        for piece in file.pieces:
            yield (file.path, piece.rows), (piece.shard, piece.digest)


def _files(before: list[FileUse], after: list[FileUse]) -> Iterator[Change]:
    """Yield files whose bytes differ.

    Rows are compared by their shards instead, and recipes and configurations by the settings.
    """
    digests = [
        {file.path: file.digest for file in files if file.digest and file.role not in _BY_CONTENT}
        for files in (before, after)
    ]
    for change in _values(*digests):
        yield Change(change.what, change.before, change.after)


def _results(record: RunRecord) -> dict[str, str | None]:
    """Return what a run wrote by file name: runs of two splits write to two folders."""
    return {Path(file.path).name: file.digest for file in record.outputs}


def _code(before: RunRecord, after: RunRecord, folder: Path) -> Iterator[Change]:
    roots_before = {root.name: root for root in before.code}
    roots_after = {root.name: root for root in after.code}
    for name in sorted({*roots_before, *roots_after}):
        old, new = roots_before.get(name), roots_after.get(name)
        files = [root.files if root else {} for root in (old, new)]
        for change in _values(*files):
            lines: list[str] = []
            if old and new and old.commit and new.commit:
                where = folder if name == "memtrain" else Path.cwd()
                lines = _changed_lines(where, old, new, change.what)
            yield Change(change.what, change.before, change.after, lines)


def _changed_lines(folder: Path, old: Any, new: Any, file: str) -> list[str]:
    """Return what git knows of a change; of a tree with changes, what is in it now."""
    if not new.is_clean and digest_of_file(folder / file) != new.files.get(file):
        return []
    # After `--`, so that no name of a file is taken for an option.
    versions = [old.commit] if new.is_clean is False else [old.commit, new.commit]
    command = ["git", "-C", str(folder), "diff", "--unified=0", "--no-color", *versions, "--", file]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    lines = done.stdout.splitlines()
    return [
        line
        for line in lines
        if line.startswith(("+", "-", "@@")) and not line.startswith(("+++", "---"))
    ]


def _shown(value: Any) -> str:
    if isinstance(value, str) and value.startswith(("sha256:", "blake3:")):
        return short(value)
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
