"""A run of the workflow in which jobs have failed: what is finished all the same, and what is not.

The rules write it down (``state/unfinished.json``) for ``summarize --partial``, which summarizes
the finished splits and names the others.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.data.made_from import Statement
from memtrain.system import canonical_json, checked_json

#: In the statement of a partial summary, the name of the digest of the run that left it partial.
#: The statement of a whole summary does not have it.
PARTIAL = "unfinished_run"


@dataclass(frozen=True)
class FailedJob:
    """A job that has failed.

    Attributes:
        job: the name of its rule, as the script is named.
        split: its split; None for a job of no split alone.
        reason: why it has failed, in a sentence or a few words.
        log: the file of its log; None where it has none.
        part: what tells the job from others of its rule, if that is no split: the group of files,
            or the name of the predictions.
    """

    job: str
    split: str | None
    reason: str
    log: str | None
    part: str | None = None

    @property
    def name(self) -> str:
        """Its name, like "train/first"."""
        part = self.part or self.split
        return self.job if part is None else f"{self.job}/{part}"

    @property
    def text(self) -> str:
        """What people should know of it."""
        log = f" Log: {self.log}" if self.log else ""
        end = "" if self.reason.endswith((".", "!", "?")) else "."
        return f"{self.name} failed: {self.reason}{end}{log}"


@dataclass(frozen=True)
class UnfinishedRun:
    """A run of the workflow in which jobs have failed.

    Attributes:
        finished: the splits whose models, and whose evaluations where they have rows for one, are
            those of today's configuration.
        failed: the jobs that have failed.
    """

    finished: tuple[str, ...]
    failed: tuple[FailedJob, ...]

    @property
    def digest(self) -> str:
        """The digest of what is told of the run."""
        return canonical_json.digest(asdict(self))

    def not_finished(self, splits: Sequence[str]) -> list[str]:
        """Return those of some splits that are not finished."""
        return [one for one in splits if one not in self.finished]

    def failure_of(self, split: str) -> FailedJob | None:
        """Return the job of a split that has failed; None if none has."""
        return next((one for one in self.failed if one.split == split), None)

    def notes(self, splits: Sequence[str]) -> list[str]:
        """Return a sentence for each job that has failed, and one for splits that did not come.

        Args:
            splits: the names of the configured splits.
        """
        failed = {one.split for one in self.failed}
        waiting = [one for one in self.not_finished(splits) if one not in failed]
        notes = [one.text for one in self.failed]
        if waiting:
            notes.append(f"Not finished when the run ended: {listed(waiting)}.")
        return notes

    def told(self, splits: Sequence[str]) -> list[str]:
        """Return all sentences on the run, the headline first.

        Args:
            splits: the names of the configured splits.
        """
        return [self.headline(splits), *self.notes(splits)]

    def headline(self, splits: Sequence[str]) -> str:
        """Return the sentence that says how much of the summary is there.

        Args:
            splits: the names of the configured splits.
        """
        of_all = f"{len(self.finished):,} of {counted(len(splits), 'split')}"
        return (
            f"Partial: {of_all} {'is' if len(self.finished) == 1 else 'are'} finished. The next "
            "run makes the summary anew."
        )

    def write(self, path: str | os.PathLike) -> None:
        """Write the run as canonical JSON with a checksum."""
        checked_json.write(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "UnfinishedRun":
        """Read a run.

        Raises:
            UserError: if the file is missing or damaged.
        """
        try:
            return TypeAdapter(cls).validate_python(checked_json.read(path, made_by="snakemake"))
        except ValidationError:
            raise UserError(
                f"{path}: this is not what a run with failed jobs leaves. Run snakemake again."
            ) from None


def is_partial(statement: Statement) -> bool:
    """Return whether a statement is that of a summary of the finished splits of a failed run."""
    return PARTIAL in statement.made_from
