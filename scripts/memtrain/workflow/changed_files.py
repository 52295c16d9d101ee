"""Names the files that have changed since rows in files were described or indexed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.described_from import fields_of
from memtrain.data.file_headers import paths_of
from memtrain.data.files_layout import FilesLayout
from memtrain.data.rows_of_files import FILE, files_of_layout
from memtrain.system import canonical_json
from memtrain.workflow.judgement import Judgement, change_of
from memtrain.workflow.today import Today

_MOST_NAMES = 3


def with_named_files(
    judgement: Judgement, part: str, changed: Callable[[], Iterable[str]]
) -> Judgement:
    """Return a judgement that names the files that have changed, where that is known.

    Args:
        judgement: the judgement.
        part: what has changed by the digest of it: "files" or "data".
        changed: returns sentences on the files that have changed.
    """
    general = change_of(part)
    if general not in judgement.reasons or not (named := list(changed())):
        return judgement
    others = [reason for reason in judgement.reasons if reason != general]
    return replace(judgement, reasons=(*others, *named))


def changed_files(today: Today) -> list[str]:
    """Return what has become of the files that rows were described from, by their names."""
    settings = today.configuration.dataset.files
    if settings is None:
        return []
    try:
        before = files_of_layout(FilesLayout.read(today.results.data))
        paths = [path for _, field in fields_of(settings) for path in paths_of(field)]
        now = {path: Path(path).stat().st_size for path in paths}
    except (UserError, OSError):
        return []
    return list(_changes(before, now)) or ["headers or the order of files changed"]


def changed_contents(today: Today) -> list[str]:
    """Return which of the files have other bytes than when they were indexed."""
    try:
        before = canonical_json.read(today.results.indexed_contents, made_by="index_shards")
    except (UserError, OSError):
        return []
    changed = [
        name.removeprefix(FILE)
        for name, digest in today.contents().items()
        if name.startswith(FILE) and digest is not None and before.get(name) != digest
    ]
    return [f"{listed(changed, _MOST_NAMES)} changed"] * bool(changed)


def _changes(before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[str]:
    groups = {
        "gone": [path for path in before if path not in now],
        "new": [path for path in now if path not in before],
    }
    for state, paths in groups.items():
        if paths:
            verb = "is" if len(paths) == 1 else "are"
            yield f"{listed(paths, _MOST_NAMES)} {verb} {state}"
    resized = [path for path in now if path in before and now[path] != before[path]]
    for path in resized[:_MOST_NAMES]:
        verb = "was cut" if now[path] < before[path] else "grew"
        yield f"{path} {verb} from {before[path]:,} to {now[path]:,} bytes"
    if len(resized) > _MOST_NAMES:
        yield f"{len(resized) - _MOST_NAMES:,} more files have other sizes"
