"""Models that clean.py has removed, and the rows that they were trained on.

A removed model may have been copied before. So a question about rows names it, too. The record of
the cleaning says which rows it was trained on. Records of earlier versions do not; there, the
record of the training tells.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from memtrain.core.ranges import Range, overlaps
from memtrain.lineage.index.facts import RunFacts
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.models_on_disk import ModelsOnDisk, rows_of_chain
from memtrain.system.digests import digest_of_file

#: The job of the records, and the key of their details.
CLEAN = "clean"
CLEANING = "cleaning"


@dataclass(frozen=True)
class RemovedModel:
    """A model that clean.py has removed.

    Attributes:
        path: the path of the file, relative to the project.
        split: the name of its split.
        digest: the digest of the file; None where it is not known.
        ranges: the rows that it was trained on; None where nothing tells.
        at: the time of the removal, ISO 8601.
    """

    path: str
    split: str
    digest: str | None
    ranges: Sequence[Range] | None
    at: str

    @property
    def note(self) -> str:
        """What became of the model, and what is left to do."""
        unknown = "" if self.ranges else "nothing tells which rows it was trained on; "
        return f"{unknown}removed by clean.py at {self.at[:19]}Z; delete copies of it, if there are"

    def may_hold(self, rows: Sequence[Range]) -> bool:
        """Return whether the model was, or may have been, trained on some of the rows."""
        return self.ranges is None or any(overlaps(self.ranges, rows))

    def facts(self) -> dict[str, Any]:
        """Return everything but the rows, as JSON."""
        facts = {"path": self.path, "split": self.split, "digest": self.digest}
        return facts | {"removed_at": self.at, "note": self.note}


def facts_of_models(models: ModelsOnDisk, removed: Iterable[Path]) -> list[dict[str, Any]]:
    """Return what the record of a cleaning says of the models below some paths.

    Args:
        models: the models that lie on the disk.
        removed: the paths that will be removed.
    """
    folders = [os.path.abspath(path) for path in removed]
    return [
        {
            "path": model.path,
            "split": model.split,
            "digest": digest_of_file(model.path),
            "rows": None if model.rows is None else [list(one) for one in model.rows.ranges],
        }
        for model in models.models
        if any(_is_below(os.path.abspath(model.path), folder) for folder in folders)
    ]


def removed_models(index: LineageIndex, project: Path) -> list[RemovedModel]:
    """Return the models that were removed, each once, by path.

    Args:
        index: the index of the records.
        project: the folder of the project.
    """
    found = {}
    for number in index.runs_of(CLEAN):
        run = index.run(number)
        for model in _models_of(index, run):
            # A cleaning that was killed has not removed all that its record names.
            is_gone = run.state == "completed" or not (project / model.path).exists()
            if is_gone:
                found[model.path, model.digest] = model
    return [found[key] for key in sorted(found, key=str)]


def _models_of(index: LineageIndex, run: RunFacts) -> Iterator[RemovedModel]:
    facts = run.details.get(CLEANING, {})
    at = run.ended_at or run.started_at
    if "models" not in facts:
        yield from _models_in_records(index, facts.get("removed", []), at)
        return
    for one in facts["models"]:
        rows = one["rows"]
        ranges = None if rows is None else [Range(*pair) for pair in rows]
        yield RemovedModel(one["path"], one["split"], one["digest"], ranges, at)


def _models_in_records(
    index: LineageIndex, removed: Sequence[Mapping[str, str]], at: str
) -> Iterator[RemovedModel]:
    """Yield the models that lay below removed paths, by the records of their trainings."""
    folders = [one["path"] for one in removed]
    for path in index.paths():
        if not any(_is_below(path, folder) for folder in folders):
            continue
        for number in index.completed_runs_that_wrote(path):
            run = index.run(number)
            uses = [use for use in index.uses(number) if use.is_output and use.version.path == path]
            if run.ended_at is None or run.ended_at > at or not uses:
                continue
            if uses[0].role == "model":
                rows = rows_of_chain(index, number)
                ranges = None if rows is None else rows.ranges
                split = run.split or PurePath(path).parent.name
                yield RemovedModel(path, split, uses[0].version.digest, ranges, at)
            break  # Earlier versions were overwritten, not removed.


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
