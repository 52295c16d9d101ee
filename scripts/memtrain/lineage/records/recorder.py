"""Records what a script reads and writes while it does so."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memtrain.config.lineage import LineageSettings
from memtrain.config.parsing import parse_settings_text
from memtrain.core.errors import TransientError, UserError
from memtrain.core.ranges import Range
from memtrain.data.manifest import SHARDS_PER_PART, Manifest
from memtrain.lineage.records.environment_capture import code_root, environment, machine
from memtrain.lineage.records.known_failures import Mistakes
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import CodeRoot, FileUse, PieceUse, RunRecord, State
from memtrain.recipes.recipe import Recipe, Rows
from memtrain.system.digests import digest_of_file
from memtrain.system.memory import peak_memory_bytes
from memtrain.training.stopping import TrainingStopped
from memtrain.workflow.reachable_code import reachable_files

#: Set by the workflow: the run that a script's run is part of, where records are kept, and the
#: settings. In the environment, since they are the same for all scripts and no result's business.
PARENT_RUN = "MEMTRAIN_RUN"
RECORDS = "MEMTRAIN_RECORDS"
SETTINGS = "MEMTRAIN_LINEAGE"

#: Set inside of a job of a cluster: which try of the job it is, 1, 2, ...
ATTEMPT = "MEMTRAIN_ATTEMPT"

_NO_DIGEST = "none"

_SHARDS_IN_A_RECORD = 16 * SHARDS_PER_PART


def add_lineage_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--records`` and ``--lineage``; the workflow gives both by the environment."""
    parser.add_argument(
        "--records",
        default=os.environ.get(RECORDS),
        help=f"the folder to keep a record of this run in (default: ${RECORDS}, else none is kept)",
    )
    parser.add_argument(
        "--lineage",
        default=os.environ.get(SETTINGS, "{}"),
        help="what is recorded, as under `lineage:` in config.yaml. No result depends on it",
    )


def lineage_of(arguments: argparse.Namespace) -> LineageSettings:
    """Return the settings that were asked for.

    Raises:
        UserError: with everything that is wrong with them.
    """
    return parse_settings_text(LineageSettings, arguments.lineage)


@contextmanager
def recording(
    script: str,
    arguments: argparse.Namespace,
    split: str | None = None,
    quiet: bool = False,
) -> Iterator["Recorder"]:
    """Record a run: that it starts, and how it ends.

    Args:
        script: the file of the script.
        arguments: from ``add_lineage_arguments``.
        split: that the run is for.
        quiet: writes nothing, whatever the arguments say; for all processes but the first.

    A mistake of the user's is kept as well: other tries of the same call of the workflow would make
    it again, and end with it before they do anything.

    Raises:
        UserError: where the run has to be recorded and cannot be; or for a mistake that an earlier
            try has ended with.
    """
    recorder = Recorder(Path(script), arguments, split, quiet)
    recorder.start()
    try:
        recorder.mistakes.raise_known(recorder.name)
        yield recorder
    except TrainingStopped as stopped:
        recorder.end("stopped", str(stopped))
        raise
    except UserError as mistake:
        recorder.end("failed", str(mistake))
        if not quiet and not isinstance(mistake, TransientError):
            recorder.mistakes.remember(recorder.name, mistake.problems)
        raise
    except BaseException as error:
        recorder.end("failed", str(error) or type(error).__name__)
        raise
    recorder.end("completed")


class Recorder:
    """Collects what is known of one run; see ``recording``."""

    def __init__(self, script: Path, arguments: argparse.Namespace, split: str | None, quiet: bool):
        self.settings = lineage_of(arguments)
        self._privacy = Privacy(Path.cwd())
        self._store = RecordStore(arguments.records) if arguments.records and not quiet else None
        self._script, self._split = script.resolve(), split
        self._clock = time.perf_counter()
        self._record: RunRecord | None = None
        self.name = self._script.stem if split is None else f"{self._script.stem}/{split}"
        self.mistakes = Mistakes(arguments.records, os.environ.get(PARENT_RUN))

    def start(self) -> None:
        """Keep that the run has started."""
        if self._store is None:
            return
        with self._unless_required():
            # Imported here: a run that is not recorded need not wait for it.
            from openlineage.client.uuid import generate_new_uuid

            self._record = RunRecord(
                run_id=str(generate_new_uuid()),
                job=self._script.stem,
                split=self._split,
                parent_id=os.environ.get(PARENT_RUN),
                started_at=now(),
                code=[self._own_code()],
                environment=self._privacy.content(environment(self.settings.environment)),
                machine=machine(),
            )
            self._store.started(self._record)

    def keep_so_far(self) -> str | None:
        """Keep what the run has used until now, and return its id; None where none is recorded."""
        if self._record is None:
            return None
        with self._unless_required():
            self._store.started(self._record)
        return self._record and self._record.run_id

    def end(self, state: State, message: str | None = None) -> None:
        """Keep how the run has ended."""
        if self._record is None:
            return
        with self._unless_required():
            record = self._record
            record.ended_at, record.state = now(), state
            record.message = None if message is None else self._privacy.text(message)
            record.effort |= {
                "seconds": round(time.perf_counter() - self._clock, 3),
                "peak_memory_bytes": peak_memory_bytes(),
            }
            self._store.ended(record)

    def reaches(self, modules: Sequence[Path]) -> None:
        """Record modules of the user's own that the run can reach."""
        if self._record is not None and modules:
            files = [Path(file).resolve() for file in modules]
            self._record.code.append(code_root("project", Path.cwd(), files))

    def reads(self, path: str | os.PathLike, role: str, digest: str | None = None) -> None:
        """Record a file that is read as a whole; a digest that is known is not taken again."""
        self._use("inputs", path, role, digest)

    def reads_rows(
        self,
        path: str | os.PathLike,
        rows: Mapping[str, Sequence[Range]],
        pieces: Sequence[PieceUse] = (),
    ) -> None:
        """Record rows that are read; their shards say which bytes they are, so none are hashed.

        Args:
            path: the file of rows.
            rows: ranges by the part of the run that uses them, "" for the whole of it.
            pieces: the same rows, by shards.
        """
        ranges = {part: list(of_part) for part, of_part in rows.items()}
        self._use("inputs", path, "rows", _NO_DIGEST, rows=ranges, pieces=list(pieces))

    def wrote(self, path: str | os.PathLike, role: str, part: str = "") -> None:
        """Record a file that was written; ``part`` is the part of the run that it comes from."""
        self._use("outputs", path, role, rows={part: []} if part else {})

    def wrote_rows(
        self, path: str | os.PathLike, rows: Sequence[Range], rows_in_all: int | None = None
    ) -> None:
        """Record a file of rows that was written, and their numbers."""
        self._use("outputs", path, "rows", rows={"": list(rows)}, rows_in_all=rows_in_all)

    def set(self, **parameters: Any) -> None:
        """Record settings; what lies deeper gets a dotted name."""
        if self._record is not None:
            content = self._privacy.content(parameters)
            self._record.parameters |= dict(_flattened(content))

    def tell(self, kind: str, **facts: Any) -> None:
        """Record facts of this kind of job."""
        if self._record is not None:
            self._record.details[kind] = self._privacy.content(facts)

    def _use(
        self,
        which: str,
        path: str | os.PathLike,
        role: str,
        digest: str | None = None,
        **more: Any,
    ) -> None:
        if self._record is None:
            return
        with self._unless_required():
            found = os.stat(path)
            use = FileUse(
                path=self._privacy.path(path),
                role=role,
                size=found.st_size,
                modified_ns=found.st_mtime_ns,
                digest=None if digest == _NO_DIGEST else digest or digest_of_file(path),
                **more,
            )
            getattr(self._record, which).append(use)

    def _own_code(self) -> CodeRoot:
        scripts = self._script.parent
        return code_root("memtrain", scripts.parent, reachable_files(self._script, [scripts]))

    @contextmanager
    def _unless_required(self) -> Iterator[None]:
        """Turn what goes wrong with a record into a warning, or into an error if it is required."""
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            problem = f"{self._store.folder}: this run cannot be recorded ({error})."
            if self.settings.required:
                self._record = None
                raise UserError(
                    f"{problem} `lineage: {{required: true}}` wants every run recorded: mend "
                    "this, or allow runs without a record."
                ) from None
            print(f"warning: {problem}", file=sys.stderr)


def pieces_of(rows: Rows, recipe: Recipe) -> list[PieceUse]:
    """Return the rows of a part of a recipe by shards."""
    pieces = []
    for piece in rows.pieces:
        shard = piece.start // recipe.rows_per_shard
        pieces.append(
            PieceUse(
                shard=shard,
                rows=Range(piece.start, piece.end),
                digest=piece.digest,
                shard_digest=recipe.shards.get(str(shard)),
            )
        )
    return pieces


def pieces_of_manifest(manifest: Manifest) -> list[PieceUse]:
    """Return all rows of a manifest by shards; none where they are too many to stand in a record.

    The manifest, whose digest is in the record, has them all.
    """
    if len(manifest.shards) > _SHARDS_IN_A_RECORD:
        return []
    return [
        PieceUse(number, shard.rows, shard.digest, shard.digest)
        for number, shard in enumerate(manifest.shards)
    ]


def now() -> str:
    """Return the time, ISO 8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
