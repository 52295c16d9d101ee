"""Training state on disk: atomic, with a digest, and of one training only.

A checkpoint is two files, ``step-<n>.pt`` and ``step-<n>.json``. The second is written last, names
the digest of the first and what training it belongs to; without it the first does not count. Both
are written aside, synced and renamed. The last two are kept, so that a damaged one is not the end.

The state is read by ``torch.load(weights_only=True)``, which runs no code of the file.
"""

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import torch

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.atomic_files import written_aside

_VERSION = 1
_KEPT = 2


def fingerprint_of(recipe_digest: str, code_digest: str, device: torch.device) -> dict[str, str]:
    """Return what a training and its checkpoint must have in common.

    Args:
        recipe_digest: the digest of the training part of the recipe, which has those of the rows.
        code_digest: the digest of the code that the model depends on.
        device: the device of the training; other kinds of device add up in another order.
    """
    return {
        "recipe": recipe_digest,
        "code": code_digest,
        "torch": torch.__version__,
        "device": device.type,
    }


class CheckpointFolder:
    """The checkpoints of one training.

    Args:
        folder: made when the first is saved.
        fingerprint: of the training, from ``fingerprint_of``.
    """

    def __init__(self, folder: str | os.PathLike, fingerprint: dict[str, str]):
        self.folder = Path(folder)
        self._fingerprint = fingerprint
        self._kept: list[int] = []

    def save(self, step: int, state: Any) -> None:
        """Save the state after a step, and remove all but the last two.

        Checkpoints that ``newest`` passed over are removed as well, and what a killed process has
        left half written.

        Args:
            step: optimizer steps done.
            state: nested dicts, lists and tuples of tensors and numbers.
        """
        with written_aside(self._path(step)) as file:
            digesting = _Digesting(file)
            torch.save(state, digesting)
        canonical_json.write(
            self._path(step, ".json"),
            {
                "version": _VERSION,
                "step": step,
                "fingerprint": self._fingerprint,
                "bytes": digesting.bytes,
                "sha256": digesting.hexdigest(),
            },
        )
        self._kept = [*(kept for kept in self._kept if kept != step), step][-_KEPT:]
        names = {path.name for kept in self._kept for path in self._paths(kept)}
        for file in self.folder.glob("*step-*"):
            if file.name not in names:
                file.unlink(missing_ok=True)

    def noted_step(self) -> int:
        """Return the step that ``newest`` will return unless a state is damaged; reads no state.

        For what is worth knowing before it is needed: nothing is said of what is passed over.
        """
        return next((step for step in self._steps() if not self._problem_of_note(step)), 0)

    def newest(self) -> int:
        """Return the step of the newest checkpoint that can be gone on from; 0 where there is none.

        What is passed over is said on standard error: checkpoints that are damaged, and those of
        another training.
        """
        for step in self._steps():
            problem = self._problem(step)
            if problem is None:
                self._kept = [step]
                return step
            print(f"warning: {self._path(step)}: {problem}; it is not used.", file=sys.stderr)
        return 0

    def load(self, step: int, device: torch.device) -> Any:
        """Return the state of a checkpoint that ``newest`` found.

        Raises:
            UserError: where it cannot be read any more.
        """
        path = self._path(step)
        try:
            return torch.load(path, map_location=device, weights_only=True)
        except Exception as error:
            raise UserError(
                f"{path}: this checkpoint cannot be read ({error}). Remove it, and the training "
                "goes on from the one before."
            ) from None

    def remove(self) -> None:
        """Remove the folder; for when the model stands, and nothing is to be gone on from."""
        if not self.folder.is_dir():
            return
        for file in self.folder.iterdir():
            file.unlink(missing_ok=True)
        self.folder.rmdir()

    def _problem(self, step: int) -> str | None:
        """Return what is wrong with a checkpoint, as the end of a sentence, or None."""
        return self._problem_of_note(step) or self._problem_of_state(step)

    def _problem_of_note(self, step: int) -> str | None:
        try:
            keys, note = ("version", "fingerprint", "bytes", "sha256"), self._note(step)
            version, fingerprint, *_ = (note[key] for key in keys)
        except (UserError, KeyError, TypeError):
            return f"its note {self._path(step, '.json').name} is damaged"
        if version != _VERSION:
            return f"it was written by another version of memtrain ({version}, not {_VERSION})"
        others = [key for key, value in self._fingerprint.items() if fingerprint.get(key) != value]
        if others:
            return f"it belongs to another training (another {' and '.join(others)})"
        return None

    def _problem_of_state(self, step: int) -> str | None:
        note = self._note(step)
        size, digest = note["bytes"], note["sha256"]
        try:
            with open(self._path(step), "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                found_size = file.tell()
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if found_size != size:
            return f"it is damaged: {found_size:,} bytes where {size:,} were written"
        if found != digest:
            return "it is damaged: its digest is not the one that was noted when it was written"
        return None

    def _note(self, step: int) -> Any:
        return canonical_json.read(self._path(step, ".json"), made_by="train")

    def _steps(self) -> list[int]:
        """Return the steps of all checkpoints, the newest first."""
        names = (path.stem.removeprefix("step-") for path in self.folder.glob("step-*.json"))
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _path(self, step: int, suffix: str = ".pt") -> Path:
        return self.folder / f"step-{step}{suffix}"

    def _paths(self, step: int) -> list[Path]:
        return [self._path(step), self._path(step, ".json")]


class CheckpointClock:
    """Says when the next checkpoint is due.

    Args:
        minutes: between two, or None.
        steps: between two, or None.
    """

    def __init__(self, minutes: float | None, steps: int | None):
        self._seconds = None if minutes is None else 60 * minutes
        self._steps = steps
        self._last = time.monotonic()

    @property
    def counts_steps(self) -> bool:
        """Whether steps decide, which are the same for all processes, and not the time."""
        return self._steps is not None

    def is_due(self, step: int) -> bool:
        """Return whether a checkpoint should be saved after a step."""
        if self._steps is not None:
            return step % self._steps == 0
        return time.monotonic() - self._last >= self._seconds

    def note(self) -> None:
        """Remember that one was saved."""
        self._last = time.monotonic()


class _Digesting:
    """A file that is written to, and digested on the way."""

    def __init__(self, file: BinaryIO):
        self._file, self._digest = file, hashlib.sha256()
        self.bytes = 0

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        self.bytes += len(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
