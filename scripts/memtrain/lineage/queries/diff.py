"""What differs between two runs: data, code, settings, seed, environment, machine, metrics."""

import hashlib
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtrain.core.ranges import Range
from memtrain.lineage.queries.explain import short
from memtrain.lineage.records.run_record import CodeRoot, FileUse, PieceUse, RunRecord
from memtrain.system.digests import digest_of_file

#: Facts of a machine that say which one it was and what it could do.
_MACHINE_FACTS = ("host", "system", "architecture", "processor", "cores", "memory_bytes", "gpus")

#: Roles of files that are compared setting by setting.
_ROLES_OF_SETTINGS = ("recipe", "configuration")

_GIT_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Change:
    """Something that differs.

    Attributes:
        what: the name of what differs.
        before: its value in the earlier run; None where it has none.
        after: its value in the later run; None where it has none.
        lines: the changed lines of a file of code; empty where git does not know them.
    """

    what: str
    before: Any
    after: Any
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.what}: {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True)
class Difference:
    """What differs between two runs, group by group."""

    data: list[Change]
    code: list[Change]
    settings: list[Change]
    seed: list[Change]
    environment: list[Change]
    machine: list[Change]
    metrics: list[Change]
    results: list[Change]

    @property
    def groups(self) -> dict[str, list[Change]]:
        """The groups that hold a change, by name."""
        return {name: changes for name, changes in vars(self).items() if changes}


def difference(before: RunRecord, after: RunRecord, code: Path) -> Difference:
    """Return what differs between two runs.

    Args:
        before: the record of the earlier run.
        after: the record of the later run.
        code: the folder that holds memtrain's Snakefile, where git finds the changed lines.
    """
    parameters = list(_changes(before.parameters, after.parameters))
    machine = _changes(before.machine, after.machine)
    metrics = (one.details.get("metrics", {}) for one in (before, after))
    return Difference(
        data=[*_changed_rows(before, after), *_changed_files(before.inputs, after.inputs)],
        code=list(_changed_code(before.code, after.code, code)),
        settings=[change for change in parameters if not _is_seed(change.what)],
        seed=[change for change in parameters if _is_seed(change.what)],
        environment=list(_changed_environment(before.environment, after.environment)),
        machine=[change for change in machine if change.what in _MACHINE_FACTS],
        metrics=list(_changes(*metrics)),
        results=list(_changes(_results(before), _results(after))),
    )


def _is_seed(name: str) -> bool:
    return name == "seed" or name.endswith(".seed")


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))


def _changed_rows(before: RunRecord, after: RunRecord) -> Iterator[Change]:
    """Yield the ranges that differ, and the pieces of the same rows whose bytes differ."""
    for change in _changes(_ranges_by_part(before), _ranges_by_part(after)):
        part = f" of {change.what}" if change.what else ""
        yield Change(f"rows{part}", change.before, change.after)
    pieces_before = _pieces_by_rows(before)
    pieces_after = _pieces_by_rows(after)
    for key in sorted(pieces_before.keys() & pieces_after.keys()):
        old, new = pieces_before[key], pieces_after[key]
        if old.digest != new.digest:
            what = f"bytes of rows {old.rows} of shard {old.shard}"
            yield Change(what, old.digest, new.digest)


def _ranges_by_part(record: RunRecord) -> dict[str, list[str]]:
    return {
        part: [str(rows) for rows in ranges]
        for file in record.inputs
        for part, ranges in file.rows.items()
    }


def _pieces_by_rows(record: RunRecord) -> dict[tuple[str, Range], PieceUse]:
    """Return the pieces that a run read, by the path of their file and their rows."""
    return {(file.path, piece.rows): piece for file in record.inputs for piece in file.pieces}


def _changed_files(before: Iterable[FileUse], after: Iterable[FileUse]) -> Iterator[Change]:
    """Yield the files whose bytes differ.

    Files of rows, recipes and configurations are left out: ``difference`` compares rows shard by
    shard, and recipes and configurations setting by setting.
    """
    return _changes(_digests(before), _digests(after))


def _digests(files: Iterable[FileUse]) -> dict[str, str]:
    return {
        file.path: file.digest
        for file in files
        if file.digest and file.role not in _ROLES_OF_SETTINGS
    }


def _changed_environment(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    if before.get("python") != after.get("python"):
        yield Change("python", before.get("python"), after.get("python"))
    for kind in ("packages", "variables"):
        for change in _changes(before.get(kind, {}), after.get(kind, {})):
            yield Change(f"{kind} {change.what}", change.before, change.after)


def _results(record: RunRecord) -> dict[str, str | None]:
    """Return the digests of the files that a run wrote, by file name.

    Paths would differ between two splits, since each has a folder of its own.
    """
    return {Path(file.path).name: file.digest for file in record.outputs}


def _changed_code(
    before: Iterable[CodeRoot], after: Iterable[CodeRoot], memtrain: Path
) -> Iterator[Change]:
    roots_before = {root.name: root for root in before}
    roots_after = {root.name: root for root in after}
    for name in sorted({*roots_before, *roots_after}):
        old, new = roots_before.get(name), roots_after.get(name)
        folder = memtrain if name == "memtrain" else Path.cwd()
        for change in _changes(old.files if old else {}, new.files if new else {}):
            lines = _changed_lines(folder, old, new, change.what) if old and new else []
            yield Change(change.what, change.before, change.after, lines)


def _changed_lines(folder: Path, old: CodeRoot, new: CodeRoot, file: str) -> list[str]:
    """Return the changed lines of a file, as git shows them; empty where git cannot show them.

    Git cannot show them if the earlier run used content of the file that was not committed. If the
    later run used such content, the file on the disk is compared, unless it has changed since.
    """
    if not old.commit or not new.commit:
        return []
    if not old.is_clean and _committed_digest(folder, old.commit, file) != old.files.get(file):
        return []
    if not new.is_clean and _digest_now(folder / file) != new.files.get(file):
        return []
    versions = [old.commit] if new.is_clean is False else [old.commit, new.commit]
    # After `--`, git takes no file name for an option.
    printed = _git(folder, "diff", "--unified=0", "--no-color", *versions, "--", file)
    return [
        line
        for line in (printed or b"").decode(errors="replace").splitlines()
        if line.startswith(("+", "-", "@@")) and not line.startswith(("+++", "---"))
    ]


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git prints; None where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_GIT_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _committed_digest(folder: Path, commit: str, file: str) -> str | None:
    """Return the digest of a file in a commit; None where the commit does not hold it."""
    content = _git(folder, "show", f"{commit}:./{file}")
    return None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"


def _digest_now(path: Path) -> str | None:
    """Return the digest of a file on the disk; None where it is gone."""
    return digest_of_file(path) if path.is_file() else None


def _shown(value: Any) -> str:
    if isinstance(value, str) and value.startswith(("sha256:", "blake3:")):
        return short(value)
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
