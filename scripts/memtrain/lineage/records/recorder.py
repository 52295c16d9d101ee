"""Records what a script reads and writes while it does so."""

import argparse
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memtrain.cli.entry_point import is_main_rank
from memtrain.config.results import ResultsLayout
from memtrain.core.errors import Interrupted, TransientError, UserError
from memtrain.core.ranges import Range
from memtrain.core.wording import shown
from memtrain.lineage.records.arguments import RecordingOptions, recording_options
from memtrain.lineage.records.environment_capture import code_root, environment, machine
from memtrain.lineage.records.known_failures import KnownFailures
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_id import new_uuid
from memtrain.lineage.records.run_record import FileUse, PieceUse, RunRecord, State, utc_now
from memtrain.system.digests import digest_of_file
from memtrain.system.memory import peak_memory_bytes
from memtrain.workflow.known_code import known_code
from memtrain.workflow.reachable_code import CodeFile
from memtrain.workflow.result_code import script_code

_log = logging.getLogger(__name__)


@contextmanager
def recording(
    script: str,
    arguments: argparse.Namespace,
    split: str | None = None,
    part: str | None = None,
) -> Iterator["Recorder"]:
    """Record a run: that it starts, and how it ends.

    A mistake of the user's is remembered as well. Other tries of the job in the same call of the
    workflow would make the same mistake, so they end with it before they do anything.

    Of several processes that work together, only the first one writes.

    Args:
        script: the file of the script.
        arguments: the command line's arguments, with those of ``add_recording_arguments``.
        split: the split that the run is for; None for a run that is for all splits.
        part: what tells the job from others of its script; that is the split unless given.

    Raises:
        UserError: if the run has to be recorded and cannot be; or the mistake that an earlier try
            of the job ended with.
    """
    recorder = Recorder(Path(script), recording_options(arguments), split, part)
    recorder.start()
    try:
        recorder.failures.raise_known(recorder.name)
        try:
            yield recorder
        except SystemExit as leaving:
            raise UserError(_words_of_leaving(leaving)) from None
        # A run is complete only when its words have arrived.
        if sys.stdout:
            sys.stdout.flush()
    except Interrupted as reason:
        recorder.end("stopped", str(reason))
        raise
    except UserError as mistake:
        recorder.end("failed", str(mistake))
        if is_main_rank() and not isinstance(mistake, TransientError):
            recorder.failures.remember(recorder.name, mistake.problems)
        raise
    except BaseException as error:
        recorder.end("failed", str(error) or type(error).__name__)
        raise
    recorder.end("completed")


def _words_of_leaving(leaving: SystemExit) -> str:
    """Return what code of the user's did that ended the program: nothing of memtrain's does."""
    last = traceback.extract_tb(leaving.__traceback__)[-1]
    return (
        f"{last.filename}, line {last.lineno}: this called sys.exit({shown(leaving.code)}), which "
        "would end the program before its work is done. Raise an error there instead."
    )


class Recorder:
    """Collects what is known of one run; ``recording`` makes one.

    Attributes:
        name: the name of the job, like "train/first".
        settings: the section `lineage` of the configuration.
        failures: the mistakes that ended jobs of this call of the workflow.

    Args:
        script: the file of the script.
        options: where and how the run is recorded.
        split: the split that the run is for, if it is for one.
        part: what tells the job from others of its script; None for the split.
    """

    def __init__(
        self, script: Path, options: RecordingOptions, split: str | None, part: str | None = None
    ):
        part = part or split
        self.name = script.stem if part is None else f"{script.stem}/{part}"
        self.settings = options.settings
        self.failures = KnownFailures(options.folder, options.workflow_run)
        self._script = script.resolve()
        self._split = split
        self._part = None if part == split else part
        self._options = options
        self._privacy = Privacy(Path.cwd())
        self._start_seconds = time.perf_counter()
        self._record: RunRecord | None = None
        self._store = RecordStore(options.folder) if options.folder and is_main_rank() else None

    def start(self) -> None:
        """Record that the run has started."""
        if self._store is None:
            return
        known = ResultsLayout(self._store.folder.parent).known_code
        with self._tolerating_failure():
            with known_code(known):
                code = [file.path for file in script_code(self._script)]
            variables = environment(self.settings.environment)
            self._record = RunRecord(
                run_id=new_uuid(),
                job=self._script.stem,
                split=self._split,
                parent_id=self._options.workflow_run,
                started_at=utc_now(),
                code=[code_root("memtrain", self._script.parents[1], code)],
                environment=self._privacy.content(variables),
                machine=self._privacy.content(machine(self._options.attempt)),
                details={"job": {"part": self._part}} if self._part else {},
            )
            self._store.started(self._record)

    def keep_so_far(self) -> str | None:
        """Record what the run has used so far; return the run's id, or None without a record."""
        if self._store is None or self._record is None:
            return None
        with self._tolerating_failure():
            self._store.started(self._record)
        return self._record.run_id if self._record else None

    def end(self, state: State, message: str | None = None) -> None:
        """Record how the run has ended.

        Args:
            state: how it ended.
            message: why it failed or stopped.
        """
        if self._store is None or self._record is None:
            return
        with self._tolerating_failure():
            record = self._record
            record.ended_at = utc_now()
            record.state = state
            record.message = None if message is None else self._privacy.text(message)
            record.effort |= {
                "seconds": round(time.perf_counter() - self._start_seconds, 3),
                "peak_memory_bytes": peak_memory_bytes(),
            }
            self._store.ended(record)

    def reaches(self, own_files: Iterable[CodeFile]) -> None:
        """Record the user's own modules that the run can reach."""
        paths = [file.path.resolve() for file in own_files]
        if self._record is not None and paths:
            self._record.code.append(code_root("project", Path.cwd(), paths))

    def reads(self, path: str | os.PathLike, role: str, digest: str | None = None) -> None:
        """Record a file that is read as a whole.

        Args:
            path: the file.
            role: what the file is to the run: recipe, model, ...
            digest: the digest of the file, if it is known; the file is not read again for it.
        """
        if self._record is not None:
            self._add(
                self._record.inputs, path, role, digest=lambda: digest or digest_of_file(path)
            )

    def reads_rows(
        self,
        path: str | os.PathLike,
        rows: Mapping[str, Sequence[Range]],
        pieces: Sequence[PieceUse] = (),
        role: str = "rows",
    ) -> None:
        """Record rows that are read. The file is not hashed: the digests of its shards tell more.

        Args:
            path: the file of rows.
            rows: ranges by the part of the run that uses them, "" for the whole run.
            pieces: the same rows, cut at the borders of shards.
            role: what the rows are to the run.
        """
        if self._record is not None:
            ranges = {part: list(rows_of_part) for part, rows_of_part in rows.items()}
            self._add(self._record.inputs, path, role, rows=ranges, pieces=list(pieces))

    def wrote(self, path: str | os.PathLike, role: str, part: str = "") -> None:
        """Record a file that was written.

        Args:
            path: the file.
            role: what the file is to the run: model, history, ...
            part: the part of the run that the file comes from, if the run has parts.
        """
        if self._record is not None:
            rows: dict[str, list[Range]] = {part: []} if part else {}
            self._add(
                self._record.outputs, path, role, digest=lambda: digest_of_file(path), rows=rows
            )

    def wrote_rows(
        self, path: str | os.PathLike, rows: Sequence[Range], rows_in_all: int | None = None
    ) -> None:
        """Record a file of rows that was written.

        Args:
            path: the file.
            rows: the numbers of its rows in the data.
            rows_in_all: how many rows it has, if that is not the number of these.
        """
        if self._record is not None:
            self._add(
                self._record.outputs,
                path,
                "rows",
                digest=lambda: digest_of_file(path),
                rows={"": list(rows)},
                rows_in_all=rows_in_all,
            )

    def set(self, **parameters: Any) -> None:
        """Record settings; those inside of mappings get dotted names."""
        if self._record is not None:
            content = self._privacy.content(parameters)
            self._record.parameters |= dict(_flattened(content))

    def tell(self, kind: str, **facts: Any) -> None:
        """Record facts that only this kind of job has."""
        if self._record is not None:
            self._record.details[kind] = self._privacy.content(facts)

    def _add(
        self,
        uses: list[FileUse],
        path: str | os.PathLike,
        role: str,
        *,
        digest: Callable[[], str] | None = None,
        **more: Any,
    ) -> None:
        with self._tolerating_failure():
            found = os.stat(path)
            uses.append(
                FileUse(
                    path=self._privacy.path(path),
                    role=role,
                    size=found.st_size,
                    modified_ns=found.st_mtime_ns,
                    digest=None if digest is None else digest(),
                    **more,
                )
            )

    @contextmanager
    def _tolerating_failure(self) -> Iterator[None]:
        """Turn an error of recording into a warning; into a ``UserError`` if records are required.

        Raises:
            UserError: if `lineage: required` is set and the run cannot be recorded.
        """
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            problem = f"{self._options.folder}: this run cannot be recorded ({error})."
            if self.settings.required:
                self._record = None
                raise UserError(
                    f"{problem} `lineage: {{required: true}}` refuses a run without a record: "
                    "correct this, or set `required: false`."
                ) from None
            _log.warning(problem)


def _flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name."""
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
