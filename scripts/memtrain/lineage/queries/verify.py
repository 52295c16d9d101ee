"""Compares what lies on the disk with what was recorded."""

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import counted, listed
from memtrain.data.manifest import Manifest
from memtrain.data.record_file import RecordLayout, read_layout
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.queries.lookup import find_version
from memtrain.lineage.records.run_record import FileUse, PieceUse, RunRecord
from memtrain.lineage.records.user_actions import record_action
from memtrain.recipes.integrity import corrupt_pieces
from memtrain.recipes.recipe import Recipe
from memtrain.recipes.withdrawals import Withdrawal
from memtrain.system.digests import digest_of_file

_log = logging.getLogger(__name__)

#: Snakemake touches the outputs of a job once it sees that the job has ended.
_SECONDS_UNTIL_TOUCHED = 300


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: missing, changed, corrupt, withdrawn, order or unreadable.
        path: of the file, as seen from the project.
        message: what is wrong, and what to do.
        details: of a shard: its number, rows and bytes.
    """

    kind: str
    path: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Verification:
    """What was compared, and what was found.

    Attributes:
        checked: paths of the files that were compared.
        findings: what is wrong.
        reached: models that were trained on rows that are corrupt now.
        cleared: models whose rows are all as they were.
    """

    checked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)


class Verifier:
    """Verifies files of one dataset.

    Args:
        index: of the records.
        project: the folder that paths are seen from.
        data: the path of the rows, seen from there.
        withdrawals: of the dataset.
        quick: compares sizes and times of modification alone.
    """

    def __init__(
        self,
        index: LineageIndex,
        project: Path,
        data: str,
        withdrawals: Sequence[Withdrawal],
        quick: bool = False,
    ):
        self._index = index
        self._project = project
        self._data = data
        self._withdrawn = [one.range for one in withdrawals]
        self._quick = quick
        self._result = Verification()
        self._is_corrupt: dict[tuple[Range, str], bool] = {}

    def verify(self, paths: Sequence[str] = ()) -> Verification:
        """Verify files; everything that the records say lies here, unless files are named.

        Of a model, the rows that it was trained on are compared too; of the data, every shard.
        """
        for damaged in self._index.damaged:
            self._find("unreadable", str(damaged.path), str(damaged))
        if paths:
            names = [find_version(self._index, self._project, path).path for path in paths]
        else:
            rows = self._index.rows.execute("SELECT path FROM current ORDER BY path")
            names = [row["path"] for row in rows]
        models = []
        for name in names:
            self._verify_file(name)
            record = self._writer(name)
            if record is not None and _role_in(record, name) == "model":
                models.append((name, record))
        if self._data in names:
            self._verify_data()
        for name, record in models:
            self._verify_model(name, record)
        return self._result

    def _verify_file(self, name: str) -> None:
        """Compare a file with its last version; rows of the data are compared by their shards."""
        self._result.checked.append(name)
        path = self._project / name
        row = self._index.rows.execute(
            "SELECT version.*, use.run FROM current JOIN version ON version.id = current.version "
            "JOIN use ON use.version = version.id AND use.run = current.run AND use.is_output "
            "WHERE current.path = ?",
            (name,),
        ).fetchone()
        if not path.exists():
            self._find("missing", name, f"{name}: it is gone. Run snakemake to make it again.")
            return
        if row is None:
            return
        written = next(file for file in self._writer(name).outputs if file.path == name)
        found = os.stat(path)
        if name == self._data and self._was_indexed(name, found):
            return
        if found.st_size != written.size:
            is_same = False
        elif self._quick:
            is_same = _was_touched_by_snakemake(written, found)
        else:
            # The data is compared shard by shard.
            is_same = name == self._data or digest_of_file(path) == written.digest
        if not is_same:
            self._find("changed", name, self._describe_change(name, written, found))

    def _was_indexed(self, name: str, found: os.stat_result) -> bool:
        """Return whether these rows, changed after they were written, were indexed since."""
        record = self._last("index_shards")
        uses = record.inputs if record else []
        return any(
            use.path == name and (use.size, use.modified_ns) == (found.st_size, found.st_mtime_ns)
            for use in uses
        )

    def _describe_change(self, name: str, written: FileUse, found: os.stat_result) -> str:
        job = self._writer(name).name
        what = (
            f"{found.st_size:,} bytes where {written.size:,} were written"
            if found.st_size != written.size
            else "its time of modification is another"
            if self._quick
            else "its bytes are others"
        )
        return (
            f"{name}: it is not what {job} wrote ({what}). Restore it, or run `snakemake "
            f"--forcerun {name}`."
        )

    def _verify_data(self) -> None:
        """Compare every shard; that the manifest is as it was written is seen by its own digest."""
        manifest = ResultsLayout((self._project / self._data).parent).manifest
        if self._quick or not manifest.exists() or not (self._project / self._data).exists():
            return
        shards = [
            PieceUse(number, shard.rows, shard.digest)
            for number, shard in enumerate(Manifest.read(manifest).shards)
        ]
        layout = self._layout()
        for piece in self._corrupt(shards):
            start, end = layout.byte_range(*piece.rows)
            self._find(
                "corrupt",
                self._data,
                f"{self._data}: shard {piece.shard} (rows {piece.rows}, bytes [{start}, {end})) is "
                "not what was indexed. Restore these bytes, or withdraw the shard.",
                {"shard": piece.shard, "rows": list(piece.rows), "bytes": [start, end]},
            )

    def _verify_model(self, name: str, record: RunRecord) -> None:
        """Compare the rows that a model was trained on; and none may have been withdrawn."""
        pieces = _pieces(record)
        ranges = [rows for file in record.inputs for part in file.rows.values() for rows in part]
        common = sorted(set(overlaps(ranges, self._withdrawn)))
        if common:
            self._find(
                "withdrawn",
                name,
                f"{name}: it was trained on rows that are withdrawn: {listed(common)}. Run "
                "snakemake to train it without them.",
                {"rows": [list(rows) for rows in common]},
            )
        if self._quick:
            return
        self._verify_order(name, record)
        if not (self._project / self._data).exists():
            return
        corrupt = self._corrupt(pieces)
        if not corrupt:
            self._result.cleared.append(name)
            return
        self._result.reached.append(name)
        shards = [f"{piece.shard} (rows {piece.rows})" for piece in corrupt]
        self._find(
            "corrupt",
            name,
            f"{name}: rows that it was trained on are others now: "
            f"shard{'s' if len(shards) > 1 else ''} {listed(shards)}. The "
            "model is as it was; it cannot be made again from these rows.",
            {"shards": [piece.shard for piece in corrupt]},
        )

    def _verify_order(self, name: str, record: RunRecord) -> None:
        """Compare the order that rows were visited in with the one that the recipe declares."""
        path = next((file.path for file in record.inputs if file.role == "recipe"), None)
        observed = record.details.get("training", {}).get("order_digest")
        if observed is None or path is None or not (self._project / path).exists():
            return
        recipe = self._project / path
        declaring = Recipe.read(recipe)
        if declaring.digest("training") != record.parameters.get("recipe"):
            return
        # Imported here: it brings PyTorch, and all other questions answer a second sooner without.
        from memtrain.loading.order_digest import declared_order_digest

        declared = declared_order_digest(declaring.training)
        if declared != observed:
            self._find(
                "order",
                name,
                f"{name}: its training visited the rows in the order {observed}, and its recipe "
                f"declares {declared}. Train it anew: `snakemake --forcerun {name}`.",
                {"observed": observed, "declared": declared},
            )

    def _corrupt(self, pieces: Sequence[PieceUse]) -> list[PieceUse]:
        """Return the pieces whose bytes have another digest; each is read once."""
        unknown = {
            key: piece
            for piece in pieces
            if (key := (piece.rows, piece.digest)) not in self._is_corrupt
        }
        corrupt = corrupt_pieces(self._project / self._data, list(unknown.values()))
        self._is_corrupt.update(dict.fromkeys(unknown, False))
        self._is_corrupt.update({(piece.rows, piece.digest): True for piece in corrupt})
        return [piece for piece in pieces if self._is_corrupt[piece.rows, piece.digest]]

    def _layout(self) -> RecordLayout:
        return read_layout(self._project / self._data)

    def _last(self, job: str) -> RunRecord | None:
        row = self._index.rows.execute(
            "SELECT id FROM run WHERE job = ? AND state = 'completed' "
            "ORDER BY ended_at DESC LIMIT 1",
            (job,),
        ).fetchone()
        return self._index.record_of(row["id"]) if row else None

    def _writer(self, name: str) -> RunRecord | None:
        row = self._index.rows.execute("SELECT run FROM current WHERE path = ?", (name,)).fetchone()
        return self._index.record_of(row["run"]) if row else None

    def _find(
        self, kind: str, path: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        self._result.findings.append(Finding(kind, path, message, details or {}))


def verify_everything(
    index: LineageIndex, project: Path, data: str, withdrawals: Sequence[Withdrawal]
) -> Verification:
    """Compare all files and rows with the records, and record what was found.

    The index is built again first where a record was damaged since it was indexed. Where the
    result cannot be recorded, a warning says so.

    Args:
        index: the index of the dataset's records.
        project: the folder of the project.
        data: the path of the file of rows, relative to the project.
        withdrawals: the withdrawals of the dataset.
    """
    index.renew_if_damaged()
    result = Verifier(index, project, data, withdrawals).verify()
    try:
        keep_verification(index.store.folder, result)
    except OSError as error:
        _log.warning("the result of this comparison cannot be recorded (%s).", error)
    return result


def keep_verification(folder: Path, result: Verification) -> None:
    """Record that everything was compared byte by byte, for the page to show what was found.

    Args:
        folder: of the records.
        result: of a verification that neither named files nor was quick.
    """
    compared = counted(len(result.checked), "file")
    message = f"{compared} compared byte by byte, {counted(len(result.findings), 'finding')}"
    facts = {"checked": len(result.checked), "findings": [asdict(one) for one in result.findings]}
    record_action(folder, "verify", message, kind="verification", facts=facts)


def _was_touched_by_snakemake(written: FileUse, found: os.stat_result) -> bool:
    """Return whether a file has the time that it was written, or that Snakemake gave it after."""
    return 0 <= found.st_mtime_ns - written.modified_ns <= _SECONDS_UNTIL_TOUCHED * 10**9


def _pieces(record: RunRecord) -> list[PieceUse]:
    return [piece for file in record.inputs for piece in file.pieces]


def _role_in(record: RunRecord, name: str) -> str | None:
    return next((file.role for file in record.outputs if file.path == name), None)


def shard_rows(manifest: Path, shard: int) -> Range:
    """Return the rows of a shard.

    Args:
        manifest: of the dataset.
        shard: its number.

    Raises:
        UserError: where there is no such shard.
    """
    shards = Manifest.read(manifest).shards
    if not 0 <= shard < len(shards):
        raise UserError(f"--shard {shard}: {manifest} has the shards 0 to {len(shards) - 1}.")
    return shards[shard].rows
