"""Compares what lies on the disk with what was recorded."""

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import counted, listed
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import describe_places, read_layout
from memtrain.data.manifest import Manifest
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.currency import stale_results, stale_results_of, stale_rows
from memtrain.lineage.queries.lookup import find_version
from memtrain.lineage.queries.models_on_disk import ModelOnDisk, ModelsOnDisk
from memtrain.lineage.queries.verify_files import file_problems, place_facts
from memtrain.lineage.records.run_record import FileUse, PieceUse, RunRecord
from memtrain.lineage.records.user_actions import record_action
from memtrain.recipes.integrity import corrupt_pieces
from memtrain.recipes.recipe import Recipe
from memtrain.recipes.withdrawals import Withdrawal
from memtrain.system.digests import digest_of_file
from memtrain.workflow.today import Today

#: How many records are kept after they were read: one run may have written thousands of files.
_MOST_RECORDS = 64

#: Longest time from the end of a job until Snakemake, which polls for it, touches the outputs.
_MAX_SECONDS_UNTIL_TOUCHED = 300

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: what is wrong: "missing" (the file is gone), "changed" (the file has other bytes),
            "corrupt" (rows have other bytes), "withdrawn" (a model was trained on withdrawn rows),
            "order" (a training visited the rows in an order that its recipe does not declare),
            "unknown" (nothing tells which rows a model was trained on), "stale" (code, settings,
            files or withdrawals are not those that a result was made from) or "unreadable" (a
            damaged record).
        path: the path of the file, relative to the project.
        message: what is wrong, and what to do.
        details: facts that depend on the kind, such as the number, rows and bytes of a corrupt
            shard.
    """

    kind: str
    path: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Verification:
    """What was compared, and what was found.

    Attributes:
        checked: the paths of the files that were compared.
        findings: what is wrong.
        reached: the models that were trained on rows that are now corrupt.
        cleared: the models whose rows are all unchanged.
        abandoned: the folders of splits that are no longer configured.
    """

    checked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)


class Verifier:
    """Compares the files of one dataset with the records.

    Args:
        index: the index of the records.
        models: the models that lie on the disk.
        project: the folder of the project.
        data: the path of the file of rows, relative to the project.
        withdrawals: the withdrawals of the dataset.
        quick: whether to compare only sizes and times of modification.
        today: what results would be made from now; None where that is not known.
    """

    def __init__(
        self,
        index: LineageIndex,
        *,
        models: ModelsOnDisk,
        project: Path,
        data: str,
        withdrawals: Sequence[Withdrawal],
        quick: bool = False,
        today: Today | None = None,
    ):
        self._index = index
        self._models = models
        self._project = project
        self._data = data
        self._withdrawn = [one.range for one in withdrawals]
        self._quick = quick
        self._today = None if quick else today
        self._result = Verification()
        self._is_corrupt: dict[tuple[Range, str], bool] = {}
        self._record = lru_cache(_MOST_RECORDS)(index.record)
        self._outputs = lru_cache(_MOST_RECORDS)(self._read_outputs)

    def verify(self, paths: Sequence[str] = ()) -> Verification:
        """Compare files with their records.

        For a model, the rows that it was trained on are compared as well. For the file of rows,
        every shard is compared.

        Args:
            paths: the files; none for every file that a run wrote.
        """
        for damaged in self._index.damaged:
            self._add_finding("unreadable", str(damaged.path), str(damaged))
        if paths:
            found = [find_version(self._index, self._project, path) for path in paths]
            names = [one.version.path for one in found]
        else:
            names = [current.path for current in self._index.current_files()]
            self._result.abandoned = self._models.abandoned_folders
        for name in names:
            self._verify_file(name, self._writer(name))
        if self._data in names:
            self._verify_data()
        models = [one for one in self._models.models if not paths or one.path in names]
        for model in models:
            self._verify_model(model)
        self._verify_currency([model.path for model in models] if paths else None)
        return self._result

    def _verify_currency(self, models: Sequence[str] | None) -> None:
        """Find the results that would be made again.

        Args:
            models: the models to look at, and the rows with them; None for everything.
        """
        today = self._today
        if today is None:
            return
        found = stale_results(today)
        if models is not None:
            chosen = {self._project / name for name in models}
            layouts = {split: today.results.split(split) for split in today.splits}
            asked = [split for split, one in layouts.items() if one.model.absolute() in chosen]
            rows = [one for one in stale_rows(today) if asked]
            found = iter(
                [
                    *rows,
                    *(one for split in asked for one in stale_results_of(today, split, not rows)),
                ]
            )
        for one in found:
            path = str(one.path)
            self._add_finding(
                "stale",
                path,
                f"{path}: {'; '.join(one.reasons)}. Run snakemake to make it again.",
                {"reasons": list(one.reasons)},
            )

    def _verify_file(self, name: str, writer: RunRecord | None) -> None:
        """Compare a file with what its last writer wrote.

        Only the size of the file of rows is compared here, and with ``quick`` its time as well;
        ``_verify_data`` compares the shards.
        """
        path = self._project / name
        abandoned = self._models.abandoned_folder(name)
        if abandoned and not path.exists():
            return
        self._result.checked.append(name)
        if not path.exists():
            message = f"{name}: this file is gone. Run snakemake to make it again."
            self._add_finding("missing", name, message)
            return
        if writer is None:
            return
        written = self._written(name)
        found = os.stat(path)
        if name == self._data and self._was_indexed(name, found):
            return
        if found.st_size != written.size:
            what = f"{found.st_size:,} bytes where {written.size:,} were written"
        elif self._quick:
            if _was_touched_by_snakemake(written, found):
                return
            what = "its time of modification differs"
        else:
            if name == self._data or digest_of_file(path) == written.digest:
                return
            what = "its bytes differ"
        self._add_finding(
            "changed",
            name,
            f"{name}: this file is not what {writer.name} wrote ({what}). Restore it, or "
            + (f"delete {abandoned}." if abandoned else f"run `snakemake --forcerun {name}`."),
        )

    def _was_indexed(self, name: str, found: os.stat_result) -> bool:
        """Return whether index_shards last indexed the rows as they are on the disk now.

        If so, the shards are compared with this newer index, and the file itself is no finding.
        """
        run = self._index.last_run_of("index_shards")
        uses = self._index.record(run).inputs if run is not None else []
        return any(
            use.path == name and (use.size, use.modified_ns) == (found.st_size, found.st_mtime_ns)
            for use in uses
        )

    def _verify_data(self) -> None:
        """Compare every shard with its digest in the manifest."""
        manifest = ResultsLayout((self._project / self._data).parent).manifest
        if self._quick or not manifest.exists() or not (self._project / self._data).exists():
            return
        shards = [
            PieceUse(number, shard.rows, shard.digest)
            for number, shard in enumerate(Manifest.read(manifest).shards)
        ]
        layout = read_layout(self._project / self._data)
        if isinstance(layout, FilesLayout):
            self._verify_files(layout)
        for piece in self._corrupt(shards):
            self._add_finding(
                "corrupt",
                self._data,
                f"{self._data}: shard {piece.shard} (rows {piece.rows}, "
                f"{describe_places(layout, piece.rows)}) is not what was indexed. Restore these "
                "bytes, or withdraw the shard.",
                {"shard": piece.shard, "rows": list(piece.rows)} | place_facts(layout, piece.rows),
            )

    def _verify_files(self, layout: FilesLayout) -> None:
        """Find files of rows that are gone, or are not as large as they were described."""
        for problem in file_problems(layout, self._project):
            self._add_finding(problem.kind, problem.path, problem.message)

    def _verify_model(self, model: ModelOnDisk) -> None:
        """Compare the rows that a model was trained on, and find those that are withdrawn."""
        name, rows = model.path, model.rows
        if rows is None:
            self._add_finding("unknown", name, f"{name}: {model.note}.")
            return
        common = sorted(set(overlaps(rows.ranges, self._withdrawn)))
        if common:
            remedy = "Run snakemake to train it without them."
            if model.abandoned_folder:
                remedy = f"Its split is no longer configured: delete {model.abandoned_folder}."
            self._add_finding(
                "withdrawn",
                name,
                f"{name}: it was {rows.use_of(common)} rows that are withdrawn: {listed(common)}. "
                f"{remedy}",
                {"rows": [list(rows) for rows in common]},
            )
        if self._quick:
            return
        self._verify_order(model)
        if not (self._project / self._data).exists():
            return
        corrupt = self._corrupt(rows.pieces)
        if not corrupt:
            self._result.cleared.append(name)
            return
        self._result.reached.append(name)
        shards = [f"{piece.shard} (rows {piece.rows})" for piece in corrupt]
        self._add_finding(
            "corrupt",
            name,
            f"{name}: rows that it was {rows.use_of([piece.rows for piece in corrupt])} have "
            "changed since: "
            f"shard{'s' if len(shards) > 1 else ''} {listed(shards)}. The model itself is "
            "unchanged, but it cannot be made again from these rows.",
            {"shards": [piece.shard for piece in corrupt]},
        )

    def _verify_order(self, model: ModelOnDisk) -> None:
        """Compare the order in which rows were visited with the one that the recipe declares."""
        name, record = model.path, self._writer(model.path)
        if record is None or model.abandoned_folder:
            return
        path = next((file.path for file in record.inputs if file.role == "recipe"), None)
        training = record.details.get("training", {})
        observed = training.get("order_digest")
        if observed is None or path is None or not (self._project / path).exists():
            return
        try:
            recipe = Recipe.read(self._project / path)
        except UserError:
            return  # ``_verify_file`` has found it.
        if recipe.digest("training") != record.parameters.get("recipe"):
            return
        # Imported here, since it imports PyTorch: that takes a second, which most commands save.
        from memtrain.loading.order_digest import declared_order_digest

        declared = declared_order_digest(recipe.training, training.get("steps"))
        if declared != observed:
            self._add_finding(
                "order",
                name,
                f"{name}: its training visited the rows in the order {observed}, and its recipe "
                f"declares {declared}. Train it again: `snakemake --forcerun {name}`.",
                {"observed": observed, "declared": declared},
            )

    def _corrupt(self, pieces: Sequence[PieceUse]) -> list[PieceUse]:
        """Return the pieces whose bytes no longer have the recorded digest; each is read once."""
        unknown = {
            key: piece
            for piece in pieces
            if (key := (piece.rows, piece.digest)) not in self._is_corrupt
        }
        corrupt = corrupt_pieces(
            self._project / self._data, list(unknown.values()), refuse_unreadable=False
        )
        self._is_corrupt.update(dict.fromkeys(unknown, False))
        self._is_corrupt.update({(piece.rows, piece.digest): True for piece in corrupt})
        return [piece for piece in pieces if self._is_corrupt[piece.rows, piece.digest]]

    def _writer(self, name: str) -> RunRecord | None:
        """Return the record of the run that wrote a file last; None where no run wrote it."""
        current = self._index.current(name)
        return None if current is None else self._record(current.run)

    def _written(self, name: str) -> FileUse:
        """Return the use of a file by the run that wrote it last."""
        current = self._index.current(name)
        assert current is not None, name
        return self._outputs(current.run)[name]

    def _read_outputs(self, run: int) -> dict[str, FileUse]:
        return {file.path: file for file in reversed(self._record(run).outputs)}

    def _add_finding(
        self, kind: str, path: str, message: str, details: dict[str, Any] | None = None
    ) -> None:
        self._result.findings.append(Finding(kind, path, message, details or {}))


def verify_everything(
    index: LineageIndex,
    *,
    models: ModelsOnDisk,
    project: Path,
    data: str,
    withdrawals: Sequence[Withdrawal],
    today: Today | None = None,
) -> Verification:
    """Compare all files and rows with the records, and record what was found.

    The index is built again first where a record was damaged since it was indexed. Where the
    result cannot be recorded, a warning says so.

    Args:
        index: the index of the records.
        models: the models that lie on the disk.
        project: the folder of the project.
        data: the path of the file of rows, relative to the project.
        withdrawals: the withdrawals of the dataset.
        today: what results would be made from now; None where that is not known.
    """
    index.renew_if_damaged()
    result = Verifier(
        index, models=models, project=project, data=data, withdrawals=withdrawals, today=today
    ).verify()
    try:
        _record(index.store.folder, result)
    except OSError as error:
        _log.warning("the result of this comparison cannot be recorded (%s).", error)
    return result


def _record(folder: Path, result: Verification) -> None:
    """Record the result of a comparison of everything, for the history and the page."""
    compared = counted(len(result.checked), "file")
    message = f"{compared} compared byte by byte, {counted(len(result.findings), 'finding')}"
    facts = {"checked": len(result.checked), "findings": [asdict(one) for one in result.findings]}
    record_action(folder, "verify", message, kind="verification", facts=facts)


def _was_touched_by_snakemake(written: FileUse, found: os.stat_result) -> bool:
    """Return whether the time of a file is that of its writing or of Snakemake's touch after it."""
    return 0 <= found.st_mtime_ns - written.modified_ns <= _MAX_SECONDS_UNTIL_TOUCHED * 10**9
