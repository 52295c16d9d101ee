"""What is recorded of a run, in our own words; ``openlineage_events`` writes it as events."""

from dataclasses import dataclass, field
from typing import Any, Literal

from memtrain.core.ranges import Range

State = Literal["running", "completed", "failed", "stopped"]

#: Files that speak about rows and hold none: who uses rows by them names the rows itself, so that
#: a question about rows does not follow them.
ROLES_ABOUT_ROWS = ("manifest", "recipe", "source", "configuration", "withdrawals")


@dataclass(frozen=True)
class PieceUse:
    """Rows of one shard that a run used.

    Attributes:
        shard: its number.
        rows: of the shard, those that were used.
        digest: of exactly these rows, "sha256:...".
        shard_digest: of the whole shard.
    """

    shard: int
    rows: Range
    digest: str
    shard_digest: str | None = None


@dataclass(frozen=True)
class FileUse:
    """A file that a run read or wrote.

    Attributes:
        path: as seen from the project.
        role: what the file was to the run: rows, recipe, model, ...
        size: bytes.
        modified_ns: its time of modification, Unix nanoseconds.
        digest: "sha256:..." of the file; None of rows that are known by their shards.
        rows: the ranges of its rows, by the part of the run that used them ("" for the whole run);
            empty where the file is used as a whole.
        pieces: the same rows, cut at the borders of shards, with their digests.
        rows_in_all: of a file of rows, how many it has.
    """

    path: str
    role: str
    size: int
    modified_ns: int
    digest: str | None = None
    rows: dict[str, list[Range]] = field(default_factory=dict)
    pieces: list[PieceUse] = field(default_factory=list)
    rows_in_all: int | None = None


@dataclass(frozen=True)
class CodeRoot:
    """Files of code below one folder.

    Attributes:
        name: "memtrain", or "project" for the user's own modules.
        commit: of git; None where the folder is under no version control.
        is_clean: whether git knew of no change of a file that it tracks.
        files: digests by path, seen from the folder.
    """

    name: str
    commit: str | None
    is_clean: bool | None
    files: dict[str, str]


@dataclass
class RunRecord:
    """A run of a script, or of the workflow as a whole.

    Attributes:
        run_id: a UUID that grows with time.
        job: the script's name, or "workflow".
        split: that the run was for; None for none.
        parent_id: of the run of the workflow.
        started_at, ended_at: ISO 8601, UTC.
        state: how it ended; running until it did.
        message: why it failed or stopped.
        inputs, outputs: files.
        parameters: settings and digests, by dotted names.
        code: what the script could reach.
        environment: "python", "packages" by name, "variables" that are allowed.
        machine: host, processors, memory, GPUs, batch job.
        effort: "seconds", "peak_memory_bytes".
        details: facts of one kind of job: "training", "metrics", "workflow", "withdrawal",
            "verification".
    """

    run_id: str
    job: str
    started_at: str
    split: str | None = None
    parent_id: str | None = None
    ended_at: str | None = None
    state: State = "running"
    message: str | None = None
    inputs: list[FileUse] = field(default_factory=list)
    outputs: list[FileUse] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    code: list[CodeRoot] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    effort: dict[str, Any] = field(default_factory=dict)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The job with its split: "train/first"."""
        return self.job if self.split is None else f"{self.job}/{self.split}"

    def facts(self) -> dict[str, Any]:
        """Return everything but the files, as JSON."""
        own = {name: value for name, value in vars(self).items() if name not in _FILES}
        code = [
            {"root": root.name, "commit": root.commit, "is_clean": root.is_clean}
            | {"files": root.files}
            for root in self.code
        ]
        return own | {"name": self.name, "code": code}


_FILES = ("inputs", "outputs")
