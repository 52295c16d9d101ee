"""The dataclasses that queries of the index return."""

from dataclasses import dataclass, field
from typing import Any

from memtrain.lineage.records.run_record import State


@dataclass(frozen=True)
class Version:
    """What a file held at one time.

    Attributes:
        id: the number of this version in the index.
        path: the path of the file, relative to the project.
        role: what the file was to the run that named it first: rows, model, recipe, ...
        digest: "sha256:..." of the file; None where no run computed it.
        size: the size of the file in bytes.
        modified_ns: the time of modification that the file had when runs read this version, in Unix
            nanoseconds; None where no run has read it since it was written.
    """

    id: int
    path: str
    role: str
    digest: str | None
    size: int
    modified_ns: int | None = None


@dataclass(frozen=True)
class CurrentFile:
    """The version of a file that lies on the disk, or else the one that was written last.

    Attributes:
        path: the path of the file, relative to the project.
        version: the number of the version.
        run: the number of the run that wrote it last.
    """

    path: str
    version: int
    run: int


@dataclass(frozen=True)
class Use:
    """A version of a file that a run read or wrote.

    Attributes:
        version: the version.
        role: what the file was to the run.
        is_output: whether the run wrote it.
        parts: the parts of the run that used the version, such as the splits in the one run of
            resolve_splits; "" stands for the run as a whole.
        ids: the numbers of this use in the index, one for each part.
    """

    version: Version
    role: str
    is_output: bool
    parts: tuple[str, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class CodeFacts:
    """The files of code below one folder that a run may have used.

    Attributes:
        root: "memtrain", or "project" for the user's own modules.
        commit: the git commit; None where the folder is not under version control.
        is_clean: whether all files that git tracks there were as committed; None without git.
        files: the digests of the files, by path relative to the folder.
    """

    root: str
    commit: str | None
    is_clean: bool | None
    files: dict[str, str]


@dataclass(frozen=True)
class RunFacts:
    """Everything that was recorded of a run, except its files.

    Attributes:
        run_id: the UUID of the run.
        job: the name of its script, or "workflow".
        split: the split that it was for; None for none.
        name: the job with its split, such as "train/first".
        parent_id: the UUID of the run of the workflow that it belonged to.
        started_at: the time of its start, ISO 8601, UTC.
        ended_at: the time of its end; None where it has not ended.
        state: how it ended, or "running".
        message: why it failed or stopped.
        parameters: settings and digests, by dotted names.
        code: the code that it may have used.
        environment: "python", "packages" and "variables".
        machine: host, processors, memory and GPUs.
        effort: "seconds" and "peak_memory_bytes".
        details: facts of one kind of job, such as "training" or "metrics".
    """

    run_id: str
    job: str
    split: str | None
    name: str
    parent_id: str | None
    started_at: str
    ended_at: str | None
    state: State
    message: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    code: list[CodeFacts] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    effort: dict[str, Any] = field(default_factory=dict)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """A run, or a part of one, that read something.

    Attributes:
        run: the number of the run.
        part: the part of the run; "" for the run as a whole.
        role: what the file was to the run.
        input_path: the path of the file that the run read.
    """

    run: int
    part: str
    role: str
    input_path: str


@dataclass(frozen=True)
class Output:
    """A version of a file that a run wrote, with an input that it was made from.

    Attributes:
        version: the version.
        role: what the file was to the run that wrote it.
        job: the name of that run.
        input_path: the path of the input.
        is_current: whether no later run has written the file.
    """

    version: Version
    role: str
    job: str
    input_path: str
    is_current: bool
