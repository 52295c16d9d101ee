"""The graph of what lies in a dataset's folder now: files, and the runs that wrote and read them.

A file stands in it once, as its path. Where a run read a version of it that has been overwritten
since, the run's use of it says so.
"""

from collections.abc import Collection
from typing import Any

from memtrain.lineage.queries.history import Reasons
from memtrain.lineage.queries.index import LineageIndex

#: Jobs whose result comes from exactly the ranges that they read.
_USE_THEIR_RANGES = ("train", "evaluate")

_SHARED = ("code", "environment", "machine")

_OWN_FACTS = (
    *("run_id", "job", "split", "name", "state", "message", "started_at", "ended_at"),
    *("parameters", "effort", "details"),
)

#: What a run that has not ended wrote takes the place of what is there from before.
_WRITERS = """
WITH now AS (
    SELECT version.path, use.version, use.run, run.split FROM run
    JOIN use ON use.run = run.id AND use.is_output JOIN version ON version.id = use.version
    WHERE run.run_id = ?
)
SELECT path, version, run, split FROM now
UNION ALL
SELECT current.path, current.version, current.run, run.split FROM current
JOIN run ON run.id = current.run WHERE current.path NOT IN (SELECT path FROM now)
ORDER BY run
"""

_USES = """
SELECT min(use.id) AS id, use.version, use.role, version.path, version.digest, version.size,
    CASE WHEN use.is_output THEN use.part ELSE '' END AS part, NOT use.is_output AS reads
FROM use JOIN version ON version.id = use.version
WHERE use.run = ? GROUP BY use.version, use.role, 7, 8 ORDER BY 1
"""


def lineage_graph(
    index: LineageIndex, splits: Collection[str], running: str | None = None
) -> dict[str, Any]:
    """Return the graph as plain data.

    Args:
        index: of the records.
        splits: those to show; of others, whose configuration is gone, nothing is.
        running: the id of a run that has not ended and is shown with what it has used so far.

    Returns:
        "files" and "runs", which name each other by their places in these lists, and "shared": the
        facts that many runs have in common, by a key each.
    """
    return _Graph(index, set(splits), running).content()


class _Graph:
    def __init__(self, index: LineageIndex, splits: set[str], running: str | None):
        self._index, self._splits, self._running = index, splits, running
        self._reasons = Reasons(index)
        self._files: list[dict[str, Any]] = []
        self._runs: list[dict[str, Any]] = []
        self._shared: dict[str, list[Any]] = {name: [] for name in _SHARED}
        self._places: dict[str, int] = {}

    def content(self) -> dict[str, Any]:
        writers = self._writers()
        present = {row["path"]: row["version"] for row in writers}
        written = set(present)
        uses = {run: self._uses(run) for run in dict.fromkeys(row["run"] for row in writers)}
        read = [use for of_run in uses.values() for use in of_run if use["reads"]]
        # Of files that no run wrote, the version that was read last is the present one.
        for use in sorted(read, key=lambda use: use["version"]):
            if use["path"] not in written:
                present[use["path"]] = use["version"]
        for run, of_run in uses.items():
            self._add_run(run, of_run, present)
        return {"files": self._files, "runs": self._runs, "shared": self._shared}

    def _writers(self) -> list[Any]:
        """Return the version of every path and the run that wrote it, the oldest run first."""
        rows = self._index.rows.execute(_WRITERS, (self._running,))
        return [row for row in rows if row["split"] is None or row["split"] in self._splits]

    def _uses(self, run: int) -> list[Any]:
        """Return what a run read and wrote; a part of what resolve_splits wrote is a split."""
        rows = self._index.rows.execute(_USES, (run,))
        return [row for row in rows if row["reads"] or row["part"] in ("", *self._splits)]

    def _add_run(self, run: int, uses: list[Any], present: dict[str, int]) -> None:
        facts = self._index.facts_of(run)
        added = {name: facts[name] for name in _OWN_FACTS}
        added["reason"] = self._reasons.of(facts["parent_id"], facts["job"], facts["split"])
        for name in _SHARED:
            added[name] = self._share(name, facts[name])
        added["inputs"] = [self._input(facts["job"], use, present) for use in uses if use["reads"]]
        for use in uses:
            if not use["reads"] and present.get(use["path"]) == use["version"]:
                self._files[self._place(use)] |= {
                    "run": len(self._runs),
                    "split": facts["split"] or use["part"] or None,
                }
        self._runs.append(added)

    def _input(self, job: str, use: Any, present: dict[str, int]) -> dict[str, Any]:
        found: dict[str, Any] = {"file": self._place(use), "role": use["role"]}
        if present[use["path"]] != use["version"]:
            found["earlier"] = use["digest"] or "unknown"
        else:
            self._files[found["file"]] |= _described(use)
        if job in _USE_THEIR_RANGES and use["role"] == "rows":
            query = "SELECT start, end FROM span WHERE use = ? ORDER BY start, end"
            found["rows"] = [list(pair) for pair in self._index.rows.execute(query, (use["id"],))]
        return found

    def _place(self, use: Any) -> int:
        """Return the place of a file in the list; of a new one, after it was added."""
        if use["path"] not in self._places:
            self._places[use["path"]] = len(self._files)
            self._files.append({"path": use["path"], **_described(use), "run": None, "split": None})
        elif not use["reads"]:
            self._files[self._places[use["path"]]] |= _described(use)
        return self._places[use["path"]]

    def _share(self, name: str, content: Any) -> int:
        """Return the place of facts among all different ones of their kind."""
        known = self._shared[name]
        if content not in known:
            known.append(content)
        return known.index(content)


def _described(use: Any) -> dict[str, Any]:
    return {name: use[name] for name in ("role", "digest", "size")}
