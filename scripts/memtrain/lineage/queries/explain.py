"""The tree upstream of a result: what made it, out of what, down to the source of the rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from memtrain.core.ranges import Range
from memtrain.core.wording import listed
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.privacy import OUTSIDE


@dataclass
class Origin:
    """A file, and the run that made it out of others.

    Attributes:
        path: as seen from the project.
        role: what the run above read it as.
        digest: of this version.
        rows: the ranges of its rows that the run above read.
        shards: these rows by shards: number, rows, digest of exactly these rows.
        made_by: the run, in short; None where no record has it.
        note: what is odd about it.
        inputs: what that run read.
        is_shown_above: whether its own origin stands elsewhere in the tree.
    """

    path: str
    role: str
    digest: str | None
    rows: list[Range] = field(default_factory=list)
    shards: list[dict[str, Any]] = field(default_factory=list)
    made_by: dict[str, Any] | None = None
    note: str | None = None
    inputs: list["Origin"] = field(default_factory=list)
    is_shown_above: bool = False

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield the tree as lines of text."""
        digest = f"  {short(self.digest)}" if self.digest else ""
        rows = f"  rows {listed(self.rows, 6)}" if self.rows else ""
        yield f"{indent}{self.path}{rows}{digest}"
        inside = f"{indent}    "
        if self.shards:
            parts = [f"{one['shard']} {short(one['digest'])}" for one in self.shards]
            yield f"{inside}shards: {listed(parts, 8)}"
        if self.note:
            yield f"{inside}note: {self.note}"
        if self.is_shown_above:
            yield f"{inside}(made by {self.made_by['name']}, shown above)"
        elif self.made_by:
            yield from (f"{inside}{line}" for line in _lines_of_run(self.made_by))
            for one in self.inputs:
                yield from one.lines(f"{inside}")


def explain(index: LineageIndex, version: int) -> Origin:
    """Return the tree upstream of a version of a file."""
    row = index.rows.execute("SELECT * FROM version WHERE id = ?", (version,)).fetchone()
    root = Origin(row["path"], row["role"], row["digest"])
    _Explainer(index).explain(root, version, None)
    return root


def writer_of(index: LineageIndex, version: int, before: str | None = None) -> int | None:
    """Return the last run that wrote a version before a time, or at any time; None for none."""
    row = index.rows.execute(
        "SELECT use.run FROM use JOIN run ON run.id = use.run "
        "WHERE use.version = ? AND use.is_output AND run.state = 'completed' "
        "ORDER BY run.started_at <= coalesce(?, '9') DESC, run.started_at DESC LIMIT 1",
        (version, before),
    ).fetchone()
    return row["run"] if row else None


class _Explainer:
    def __init__(self, index: LineageIndex):
        self._index, self._shown = index, set()

    def explain(self, origin: Origin, version: int, before: str | None) -> None:
        """Fill in who made a version, and out of what."""
        run = writer_of(self._index, version, before)
        if run is None:
            if not origin.path.startswith(OUTSIDE) and origin.role not in _MADE_BY_NO_RUN:
                origin.note = self._note_on(origin.path)
            return
        origin.made_by = facts = self._index.facts_of(run)
        if run in self._shown:
            origin.is_shown_above = True
            return
        self._shown.add(run)
        for use in self._reads(run):
            child = Origin(use["path"], use["role"], use["digest"])
            # Others read rows to describe them; of these it is known which rows they used.
            if facts["name"].partition("/")[0] in _USE_THEIR_RANGES:
                child.rows = self._rows_of(use["id"])
                child.shards = self._shards_of(use["id"])
            origin.inputs.append(child)
            self.explain(child, use["version"], facts["started_at"])

    def _rows_of(self, use: int) -> list[Range]:
        query = "SELECT start, end FROM span WHERE use = ? ORDER BY start, end"
        return [Range(*pair) for pair in self._index.rows.execute(query, (use,))]

    def _shards_of(self, use: int) -> list[dict[str, Any]]:
        query = "SELECT * FROM piece WHERE use = ? ORDER BY start"
        return [
            {
                "shard": piece["shard"],
                "rows": Range(piece["start"], piece["end"]),
                "digest": piece["digest"],
                "shard_digest": piece["shard_digest"],
            }
            for piece in self._index.rows.execute(query, (use,))
        ]

    def _reads(self, run: int) -> list[Any]:
        return self._index.rows.execute(
            "SELECT min(use.id) AS id, use.version, use.role, version.path, version.digest "
            "FROM use JOIN version ON version.id = use.version "
            "WHERE use.run = ? AND NOT use.is_output GROUP BY use.version, use.role ORDER BY 1",
            (run,),
        ).fetchall()

    def _note_on(self, path: str) -> str:
        row = self._index.rows.execute(
            "SELECT run.job FROM current JOIN run ON run.id = current.run WHERE path = ?", (path,)
        ).fetchone()
        if row is None:
            return "no record says who wrote it"
        return (
            f"this is not what {row['job']} wrote last, nor any other recorded run: it was "
            "changed by hand, or copied without its time of modification"
        )


#: Files that users write, or the workflow itself when it starts.
_MADE_BY_NO_RUN = ("configuration", "imported", "withdrawals")

#: Jobs whose result comes from exactly the ranges that they read.
_USE_THEIR_RANGES = ("train", "evaluate")


def _lines_of_run(run: dict[str, Any]) -> Iterator[str]:
    yield f"made by {run['name']}, {run['started_at'][:19]}Z, run {run['run_id']}"
    for root in run["code"]:
        commit = f"commit {root['commit'][:12]}" if root["commit"] else "no git"
        if root["commit"] and not root["is_clean"]:
            commit += " with changes"
        yield f"code: {len(root['files'])} files of {root['root']}, {commit}"
    shown = {name: value for name, value in run["parameters"].items() if value is not None}
    if shown:
        settings = [
            f"{name}={value}"
            for name, value in shown.items()
            if not name.startswith(("recipe", "splits."))
        ]
        yield f"settings: {listed(settings, 6)}"
    training = run["details"].get("training")
    if training:
        yield f"rows were visited in the order {short(training['order_digest'])}"
    variables, attempt = run["environment"].get("variables", {}), run["machine"].get("attempt", 1)
    if job := _batch_job(variables, attempt):
        yield job
    machine, packages = run["machine"], run["environment"].get("packages", {})
    yield (
        f"with Python {run['environment'].get('python')}, torch {packages.get('torch', '-')}, on "
        f"{machine.get('host')} ({machine.get('processor')})"
    )


def _batch_job(variables: dict[str, str], attempt: int) -> str | None:
    """Return which job of a cluster a run was, where it was one."""
    job, array = variables.get("SLURM_JOB_ID"), variables.get("SLURM_ARRAY_JOB_ID")
    if job is None:
        return None
    if array:
        job += f" ({array}_{variables.get('SLURM_ARRAY_TASK_ID')})"
    nodes = variables.get("SLURM_JOB_NODELIST") or variables.get("SLURMD_NODENAME")
    where = f" on {nodes}" if nodes else ""
    return f"as job {job} of Slurm{where}, attempt {attempt}"


def short(digest: str | None) -> str:
    """Return a digest as people compare it: "sha256:0123456789ab"."""
    return "-" if digest is None else digest[: len("sha256:") + 12]
