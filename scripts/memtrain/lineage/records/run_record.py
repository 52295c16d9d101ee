"""The record of a run as dataclasses; ``openlineage_events`` turns it into events and back."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from memtrain.lineage.records.record_types import (
    Count,
    DetailFacts,
    EffortFacts,
    EnvironmentFacts,
    Facts,
    FilePath,
    MachineFacts,
    Rows,
    Time,
)

State = Literal["running", "completed", "failed", "stopped"]

#: The role of rows that a training validates on; other rows have the role "rows".
VALIDATION_ROWS = "validation rows"

#: The role of the model of another split that a training starts from.
INITIAL_MODEL = "initial model"

#: The role of files besides the rows that a training reads, as its settings declare.
DECLARED_FILE = "declared file"

#: Roles of files that describe rows and hold none. A run that uses rows by such a file records the
#: rows themselves, so a search for everything that rows have reached does not follow these files.
ROLES_ABOUT_ROWS = ("manifest", "recipe", "source", "groups", "configuration", "withdrawals")


@dataclass(frozen=True)
class PieceUse:
    """The rows of one shard that a run used.

    Attributes:
        shard: the number of the shard.
        rows: the rows that were used.
        digest: the digest of exactly these rows, "sha256:...".
        shard_digest: the digest of the whole shard; None where it is not known.
    """

    shard: Count
    rows: Rows
    digest: str
    shard_digest: str | None = None


@dataclass(frozen=True)
class FileUse:
    """A file that a run read or wrote.

    Attributes:
        path: the path, relative to the project.
        role: what the file was to the run: rows, recipe, model, ...
        size: the size of the file in bytes.
        modified_ns: the time of its last modification, in Unix nanoseconds.
        digest: the digest of the file, "sha256:..."; None for rows, whose shards have digests.
        rows: the ranges of rows that were used, by the part of the run that used them ("" for the
            whole run); empty for a file that was used as a whole.
        pieces: the same rows, cut at the borders of shards, with their digests.
        rows_in_all: the number of rows in a file of rows; None for other files.
    """

    path: FilePath
    role: str
    size: Count
    modified_ns: Count
    digest: str | None = None
    rows: dict[str, list[Rows]] = field(default_factory=dict)
    pieces: list[PieceUse] = field(default_factory=list)
    rows_in_all: Count | None = None


@dataclass(frozen=True)
class CodeRoot:
    """The files of code below one folder.

    Attributes:
        name: "memtrain", or "project" for the user's own modules.
        commit: the commit that git has checked out there; None without version control.
        is_clean: whether all files that git tracks there are as committed; None without git.
        files: digests by path, relative to the folder.
    """

    name: str
    commit: str | None
    is_clean: bool | None
    files: dict[str, str]


@dataclass
class RunRecord:
    """A run of a script, or of the workflow as a whole.

    Attributes:
        run_id: a UUID; those of later runs are greater.
        job: the name of the script, or "workflow".
        started_at: the time of the start, ISO 8601 in UTC.
        split: the split that the run was for; None for a run that was for all of them.
        parent_id: the id of the run of the workflow; None for a script that was started by hand.
        ended_at: the time of the end, ISO 8601 in UTC; None for a run that has not ended.
        state: how the run ended, or "running".
        message: why the run failed or stopped.
        results: the folder of the dataset's results when the run was recorded, relative to the
            project; None where it lies elsewhere.
        inputs: the files that the run read.
        outputs: the files that the run wrote.
        parameters: settings and digests, by dotted names.
        code: the code that the script could reach.
        environment: "python", "packages" by name, and "variables" that are allowed.
        machine: host, processors, memory, GPUs, batch job and attempt.
        effort: "seconds" and "peak_memory_bytes".
        details: facts that only some kinds of jobs have: "training", "metrics", "workflow",
            "withdrawal", "verification"; "job" where a part tells it from others of its script that
            is no split.
    """

    run_id: str
    job: str
    started_at: Time
    split: str | None = None
    parent_id: str | None = None
    ended_at: Time | None = None
    state: State = "running"
    message: str | None = None
    results: FilePath | None = None
    inputs: list[FileUse] = field(default_factory=list)
    outputs: list[FileUse] = field(default_factory=list)
    parameters: Facts = field(default_factory=dict)
    code: list[CodeRoot] = field(default_factory=list)
    environment: EnvironmentFacts = field(default_factory=dict)
    machine: MachineFacts = field(default_factory=dict)
    effort: EffortFacts = field(default_factory=dict)
    details: DetailFacts = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The job with its split, like "train/first"."""
        return self.job if self.split is None else f"{self.job}/{self.split}"

    def moved_to(self, results: str | None) -> "RunRecord":
        """Return the record with the paths that its files have in a renamed folder of results.

        Args:
            results: the folder that ``results`` is called today.
        """
        if self.results in (results, None) or results is None:
            return self
        old, new = f"{self.results}/", f"{results}/"

        def moved(file: FileUse) -> FileUse:
            if not file.path.startswith(old):
                return file
            return replace(file, path=new + file.path.removeprefix(old))

        inputs, outputs = [list(map(moved, files)) for files in (self.inputs, self.outputs)]
        return replace(self, results=results, inputs=inputs, outputs=outputs)

    def facts(self) -> dict[str, Any]:
        """Return everything but the files and where they lay, as JSON."""
        own = {name: value for name, value in vars(self).items() if name not in _NO_FACTS}
        code = [
            {"root": root.name, "commit": root.commit, "is_clean": root.is_clean}
            | {"files": root.files}
            for root in self.code
        ]
        return own | {"name": self.name, "code": code}


_NO_FACTS = ("inputs", "outputs", "results")


def utc_now() -> str:
    """Return the time, ISO 8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
