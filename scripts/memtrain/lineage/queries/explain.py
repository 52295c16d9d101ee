"""The tree upstream of a result: its run, the inputs of that run, and so on to the source."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from memtrain.core.ranges import Range
from memtrain.core.wording import listed
from memtrain.lineage.index.facts import CodeFacts, RunFacts
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.privacy import OUTSIDE_PROJECT
from memtrain.lineage.records.run_record import DECLARED_FILE, VALIDATION_ROWS, PieceUse

#: Roles of files that no recorded run writes: users write them, or the workflow when it starts.
_ROLES_WITHOUT_WRITER = ("configuration", "imported", "table", "withdrawals", DECLARED_FILE)

#: Jobs whose results were made from exactly the rows that they read. Other jobs, such as
#: index_shards, read all rows only to describe them.
JOBS_THAT_USE_ROWS = ("train", "evaluate")

#: These, and the job whose results have a value for each of the rows that it read.
_JOBS_WITH_ROWS = (*JOBS_THAT_USE_ROWS, "predict")


@dataclass
class Origin:
    """A file in the tree, and the run that made it from other files.

    Attributes:
        path: the path of the file, relative to the project.
        role: what the file was to the run that read it.
        digest: the digest of this version.
        rows: the ranges of rows that the run read.
        shards: the same rows, cut at the borders of shards, with their digests.
        files: where the rows lie in many files; empty for a file that holds the rows itself.
        made_by: the run that wrote this version; None where no record names one.
        note: what is unusual about this file.
        inputs: the files that ``made_by`` read.
        is_shown_above: whether the inputs of ``made_by`` are shown at an earlier file of the tree.
    """

    path: str
    role: str
    digest: str | None
    rows: list[Range] = field(default_factory=list)
    shards: list[PieceUse] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    made_by: RunFacts | None = None
    note: str | None = None
    inputs: list["Origin"] = field(default_factory=list)
    is_shown_above: bool = False

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield the tree as lines of text."""
        digest = f"  {short(self.digest)}" if self.digest else ""
        use = self.role if self.role == VALIDATION_ROWS else "rows"
        rows = f"  {use} {listed(self.rows, 6)}" if self.rows else ""
        yield f"{indent}{self.path}{rows}{digest}"
        inside = f"{indent}    "
        if self.shards:
            parts = [f"{piece.shard} {short(piece.digest)}" for piece in self.shards]
            yield f"{inside}shards: {listed(parts, 8)}"
        if self.files:
            yield f"{inside}files: {listed(self.files, 6)}"
        if self.note:
            yield f"{inside}note: {self.note}"
        if self.made_by is None:
            return
        if self.is_shown_above:
            yield f"{inside}(made by {self.made_by.name}, shown above)"
            return
        yield from (f"{inside}{line}" for line in _lines_of_run(self.made_by))
        for one in self.inputs:
            yield from one.lines(inside)


def explain(index: LineageIndex, version: int) -> Origin:
    """Return the tree upstream of a version of a file."""
    found = index.version(version)
    root = Origin(found.path, found.role, found.digest)
    _Tree(index).grow(root, version, before=None)
    return root


class _Tree:
    """Fills in the origins of files. The inputs of a run that made several are filled in once.

    Args:
        index: the index of the records.
    """

    def __init__(self, index: LineageIndex):
        self._index = index
        self._shown: set[int] = set()

    def grow(self, origin: Origin, version: int, before: str | None) -> None:
        """Fill in the run that made a file, and the inputs of this run with everything upstream.

        Args:
            origin: the file.
            version: the number of its version.
            before: the time at which the run that read this version started, ISO 8601; None where
                the version is the result itself.
        """
        run = self._index.writer_of(version, before)
        if run is None:
            if (
                not origin.path.startswith(OUTSIDE_PROJECT)
                and origin.role not in _ROLES_WITHOUT_WRITER
            ):
                origin.note = self._note_on_missing_writer(origin.path)
            return
        facts = self._index.run(run)
        origin.made_by = facts
        if run in self._shown:
            origin.is_shown_above = True
            return
        self._shown.add(run)
        for use in self._index.uses(run):
            if use.is_output:
                continue
            child = Origin(use.version.path, use.role, use.version.digest)
            if facts.job in _JOBS_WITH_ROWS:
                child.rows = self._index.spans(use)
                child.shards = self._index.pieces(use)
            origin.inputs.append(child)
            self.grow(child, use.version.id, facts.started_at)

    def _note_on_missing_writer(self, path: str) -> str:
        current = self._index.current(path)
        if current is None:
            return "no record says which run wrote it"
        return (
            f"neither {self._index.run(current.run).job}, which wrote this file last, nor any "
            "other recorded run wrote this version: it was changed by hand, or copied without its "
            "time of modification"
        )


def _lines_of_run(run: RunFacts) -> Iterator[str]:
    yield f"made by {run.name}, {run.started_at[:19]}Z, run {run.run_id}"
    for root in run.code:
        yield f"code: {len(root.files)} files of {root.root}, {_commit(root)}"
    settings = [
        f"{name}={value}"
        for name, value in run.parameters.items()
        if value is not None and not name.startswith(("recipe", "splits."))
    ]
    if settings:
        yield f"settings: {listed(settings, 6)}"
    if training := run.details.get("training"):
        yield f"visited the rows in the order {short(training['order_digest'])}"
        kept, steps = training.get("kept_step"), training.get("steps")
        if kept is not None and kept != steps:
            yield f"kept the weights after step {kept:,} of {steps:,}"
    variables = run.environment.get("variables", {})
    if job := _slurm_job(variables, run.machine.get("attempt", 1)):
        yield job
    torch = run.environment.get("packages", {}).get("torch", "-")
    host, processor = run.machine.get("host"), run.machine.get("processor")
    yield f"with Python {run.environment.get('python')}, torch {torch}, on {host} ({processor})"


def _commit(root: CodeFacts) -> str:
    if not root.commit:
        return "no git"
    return f"commit {root.commit[:12]}{'' if root.is_clean else ' with changes'}"


def _slurm_job(variables: dict[str, str], attempt: int) -> str | None:
    """Return a line about the Slurm job of a run; None for a run outside of Slurm."""
    job, array = variables.get("SLURM_JOB_ID"), variables.get("SLURM_ARRAY_JOB_ID")
    if job is None:
        return None
    if array:
        job += f" ({array}_{variables.get('SLURM_ARRAY_TASK_ID')})"
    nodes = variables.get("SLURM_JOB_NODELIST") or variables.get("SLURMD_NODENAME")
    where = f" on {nodes}" if nodes else ""
    return f"as job {job} of Slurm{where}, attempt {attempt}"


def short(digest: str | None) -> str:
    """Return the start of a digest, which people can compare: "sha256:0123456789ab"."""
    return "-" if digest is None else digest[: len("sha256:") + 12]
