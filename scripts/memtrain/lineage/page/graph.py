"""The graph of a dataset's current files, and of the runs that wrote and read them.

Each path is one file in the graph, whatever its versions. If a run read a version that has been
overwritten since, the run's input says so.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from memtrain.lineage.index.facts import CodeFacts, CurrentFile, RunFacts, Use, Version
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.explain import JOBS_THAT_USE_ROWS
from memtrain.lineage.queries.history import Reasons
from memtrain.lineage.records.run_record import INITIAL_MODEL, VALIDATION_ROWS


@dataclass
class GraphFile:
    """A file in the graph.

    Attributes:
        path: the path of the file, relative to the project.
        role: what the file is: rows, model, recipe, ...
        digest: the digest of its current version; None where no run computed it.
        size: the size in bytes.
        run: the run that wrote the file, as a position in the list of runs; None where no run did.
        split: the split that it belongs to; None for none.
    """

    path: str
    role: str
    digest: str | None
    size: int
    run: int | None = None
    split: str | None = None


@dataclass(frozen=True)
class GraphInput:
    """A file that a run read.

    Attributes:
        file: the file, as a position in the list of files.
        role: what the file was to the run.
        rows: the ranges of rows that the results of the run were made from; None for a file that
            was used as a whole, and for a run that only describes rows.
        earlier: the digest of the version that the run read, or "unknown", if this version was
            overwritten since; None if it is the current version.
    """

    file: int
    role: str
    rows: list[list[int]] | None = None
    earlier: str | None = None


@dataclass(frozen=True)
class GraphRun:
    """A run in the graph; see ``RunFacts`` for what is known of a run.

    Attributes:
        reason: why Snakemake ran it; None where it was run by hand, or is not known yet.
        code, environment, machine: these facts, as positions in the lists of shared facts.
        inputs: the files that it read.
    """

    run_id: str
    job: str
    split: str | None
    name: str
    state: str
    message: str | None
    started_at: str
    ended_at: str | None
    parameters: dict[str, Any]
    effort: dict[str, Any]
    details: dict[str, dict[str, Any]]
    reason: str | None
    code: int
    environment: int
    machine: int
    inputs: list[GraphInput]


@dataclass(frozen=True)
class SharedFacts:
    """The facts that many runs have in common: each list holds every different content once."""

    code: list[list[CodeFacts]] = field(default_factory=list)
    environment: list[dict[str, Any]] = field(default_factory=list)
    machine: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class LineageGraph:
    """The graph. Files and runs refer to each other by their positions in these lists.

    Attributes:
        files: the files.
        runs: the runs, in the order in which the index lists them.
        shared: facts that runs have in common.
    """

    files: list[GraphFile] = field(default_factory=list)
    runs: list[GraphRun] = field(default_factory=list)
    shared: SharedFacts = field(default_factory=SharedFacts)


def lineage_graph(
    index: LineageIndex, splits: Collection[str], running: str | None = None
) -> LineageGraph:
    """Return the graph of a dataset.

    Args:
        index: the index of the records.
        splits: the names of the splits to show: those that are still configured.
        running: the UUID of a run that has not ended, to be shown with the files that it has
            read and written so far; None for none.
    """
    return _GraphBuilder(index, set(splits), running).build()


class _GraphBuilder:
    """Builds one graph.

    Args:
        index: the index of the records.
        splits: the splits to show.
        running: the UUID of a run that has not ended and is shown; None for none.
    """

    def __init__(self, index: LineageIndex, splits: set[str], running: str | None):
        self._index = index
        self._splits = splits
        self._running = running
        self._reasons = Reasons(index)
        self._graph = LineageGraph()
        self._positions: dict[str, int] = {}

    def build(self) -> LineageGraph:
        writers = self._writers()
        runs = {run: self._index.run(run) for run in sorted({file.run for file in writers})}
        runs = {run: facts for run, facts in runs.items() if self._is_shown(facts)}
        uses = {run: self._uses(run) for run in runs}
        current = {file.path: file.version for file in writers if file.run in runs}
        # The current version of a file that no run wrote is the one that was read last.
        read = {use.version for used in uses.values() for use in used if not use.is_output}
        unwritten = [version for version in read if version.path not in current]
        current |= {one.path: one.id for one in sorted(unwritten, key=lambda one: one.id)}
        for run, facts in runs.items():
            self._add_run(facts, uses[run], current)
        return self._graph

    def _writers(self) -> list[CurrentFile]:
        """Return which run wrote each file last, the run that has not ended included."""
        writers = {file.path: file for file in self._index.current_files()}
        run = None if self._running is None else self._index.run_named(self._running)
        if run is not None:
            for use in self._index.uses(run):
                if use.is_output:
                    path = use.version.path
                    writers[path] = CurrentFile(path, use.version.id, run)
        return list(writers.values())

    def _is_shown(self, facts: RunFacts) -> bool:
        return facts.split is None or facts.split in self._splits

    def _uses(self, run: int) -> list[Use]:
        """Return what a run read and wrote, without what it wrote for splits that are left out."""
        return [
            use
            for use in self._index.uses(run)
            if not use.is_output or not self._splits.isdisjoint(use.parts) or "" in use.parts
        ]

    def _add_run(self, facts: RunFacts, uses: list[Use], current: dict[str, int]) -> None:
        inputs = [self._input(facts, use, current) for use in uses if not use.is_output]
        for use in uses:
            if use.is_output and current.get(use.version.path) == use.version.id:
                file = self._graph.files[self._position(use.version)]
                _describe(file, use)
                file.run = len(self._graph.runs)
                file.split = facts.split or next(filter(None, use.parts), None)
        shared = self._graph.shared
        self._graph.runs.append(
            GraphRun(
                run_id=facts.run_id,
                job=facts.job,
                split=facts.split,
                name=facts.name,
                state=facts.state,
                message=facts.message,
                started_at=facts.started_at,
                ended_at=facts.ended_at,
                parameters=facts.parameters,
                effort=facts.effort,
                details=facts.details,
                reason=self._reasons.reason(facts),
                code=_position_in(shared.code, facts.code),
                environment=_position_in(shared.environment, facts.environment),
                machine=_position_in(shared.machine, facts.machine),
                inputs=inputs,
            )
        )

    def _input(self, facts: RunFacts, use: Use, current: dict[str, int]) -> GraphInput:
        version = use.version
        position = self._position(version)
        earlier = None
        if current[version.path] == version.id:
            _describe(self._graph.files[position], use)
        else:
            earlier = version.digest or "unknown"
        rows = None
        if facts.job in JOBS_THAT_USE_ROWS and use.role in ("rows", VALIDATION_ROWS):
            rows = [list(span) for span in self._index.spans(use)]
        return GraphInput(position, use.role, rows=rows, earlier=earlier)

    def _position(self, version: Version) -> int:
        """Return the position of a file in the list of files; add the file if it is new."""
        if version.path not in self._positions:
            self._positions[version.path] = len(self._graph.files)
            file = GraphFile(version.path, version.role, version.digest, version.size)
            self._graph.files.append(file)
        return self._positions[version.path]


def _describe(file: GraphFile, use: Use) -> None:
    """Set the facts of a file to those of a use of its current version."""
    # A model stays a model where another training starts from it.
    file.role = use.version.role if use.role == INITIAL_MODEL else use.role
    file.digest = use.version.digest
    file.size = use.version.size


def _position_in(known: list[Any], content: Any) -> int:
    """Return the position of some facts in a list of different facts; add them if they are new."""
    if content not in known:
        known.append(content)
    return known.index(content)
