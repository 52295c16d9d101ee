"""Saved training state: complete or ignored, and used by the same training only.

A checkpoint is two files, ``step-<n>.pt`` and ``step-<n>.json``. The second is the note: it holds
the digest of the first and says which training it belongs to. The note is written last, and without
it the first file does not count. Both files are written under another name, synced and renamed. The
last two checkpoints are kept, so that one damaged checkpoint does not cost the whole training.

The state is read by ``torch.load(weights_only=True)``, which runs no code that the file contains.
"""

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.atomic_files import atomic_file
from memtrain.system.file_content import open_file

_VERSION = 1
_CHECKPOINTS_KEPT = 2

_log = logging.getLogger(__name__)


def fingerprint_of(
    recipe_digest: str, code_digest: str, device: torch.device, initial: str | None = None
) -> dict[str, str]:
    """Return what a training and its checkpoint must have in common.

    Args:
        recipe_digest: digest of the training part of the recipe, which holds the digests of the
            rows.
        code_digest: digest of the code that the model depends on.
        device: device of the training; another kind of device adds numbers in another order.
        initial: digest of the model of another split that the training starts from; None for none.
    """
    found = {
        "recipe": recipe_digest,
        "code": code_digest,
        "torch": torch.__version__,
        "device": device.type,
    }
    return found if initial is None else found | {"initial": initial}


class CheckpointFolder:
    """The checkpoints of one training.

    Args:
        folder: folder of the checkpoints, created with the first one.
        fingerprint: what a checkpoint must agree with to be used; from ``fingerprint_of``.
    """

    def __init__(self, folder: str | os.PathLike, fingerprint: dict[str, str]):
        self.folder = Path(folder)
        self._fingerprint = fingerprint
        self._kept: list[int] = []
        self._is_unsaved = False

    def save(self, step: int, state: Any) -> bool:
        """Save the state after a step, and remove all checkpoints but the last two.

        A full disk does not end the training: it is told as a warning.

        This also removes the checkpoints that ``newest_step`` ignored, and the half-written files
        of a killed process.

        Args:
            step: optimizer steps done.
            state: nested dicts, lists and tuples of tensors and numbers.

        Returns:
            Whether the state is saved.
        """
        try:
            self._write(step, state)
        # torch.save turns an error of the disk into a RuntimeError.
        except (OSError, UserError, RuntimeError) as error:
            self._is_unsaved = True
            _log.warning(
                f"{self._path(step)}: the state after step {step:,} cannot be saved ({error}). The "
                f"training goes on; if it is stopped, {self._loss_after_stop()}."
            )
            return False
        self._is_unsaved = False
        self._kept = [*(kept for kept in self._kept if kept != step), step][-_CHECKPOINTS_KEPT:]
        self._remove_others()
        return True

    def describe_saved(self) -> str:
        """Return what is kept of a training that stops now, for its last message."""
        if self._is_unsaved:
            return f"its state could not be saved: {self._loss_after_stop()}"
        return "its state is saved"

    def _loss_after_stop(self) -> str:
        if self._kept:
            return f"the next one goes on after step {self._kept[-1]:,}"
        return "the next one begins from the start"

    def _write(self, step: int, state: Any) -> None:
        with atomic_file(self._path(step)) as file:
            torch.save(state, file)
        size_bytes, sha256 = _size_and_digest(self._path(step))
        canonical_json.write(
            self._note_path(step),
            {
                "version": _VERSION,
                "step": step,
                "fingerprint": self._fingerprint,
                "bytes": size_bytes,
                "sha256": sha256,
            },
        )

    def noted_step(self) -> int:
        """Return the step that ``newest_step`` will return, unless a state is damaged.

        This reads the notes alone, without the states, and gives no warnings.

        Returns:
            The step, or 0 if there is no checkpoint.
        """
        return next((step for step in self._steps() if not self._problem_of_note(step)), 0)

    def newest_step(self) -> int:
        """Return the step of the newest usable checkpoint.

        Damaged checkpoints, and those of another training, are ignored with a warning.

        Returns:
            The step, or 0 if no checkpoint is usable.
        """
        self._remove_unfinished()
        for step in self._steps():
            problem = self._problem_of_note(step) or self._problem_of_state(step)
            if problem is None:
                self._kept = [step]
                return step
            _log.warning(f"{self._path(step)}: {problem}; it is not used.")
        return 0

    def load(self, step: int) -> Any:
        """Return the state of a checkpoint that ``newest_step`` found, with tensors on the CPU.

        Model and optimizer copy to a GPU what belongs there: the step counts of an optimizer stay
        on the CPU, since every step reads them.

        Args:
            step: step of the checkpoint.

        Raises:
            UserError: if the file can no longer be read.
        """
        path = self._path(step)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                f"{path}: this checkpoint cannot be read ({error}). Remove it, and the training "
                "goes on from the one before."
            ) from None

    def remove(self) -> None:
        """Remove the folder; called once the model is written and no state is needed any more."""
        if not self.folder.is_dir():
            return
        for file in self.folder.iterdir():
            file.unlink(missing_ok=True)
        # The next training of the split may lock the folder at this moment.
        with suppress(OSError):
            self.folder.rmdir()

    def _remove_unfinished(self) -> None:
        """Remove the files that a killed training had begun to write."""
        for path in self.folder.glob(".*.part"):
            path.unlink(missing_ok=True)

    def _remove_others(self) -> None:
        """Remove all checkpoints but those that are kept."""
        kept = {path.name for step in self._kept for path in self._paths(step)}
        for path in self.folder.glob("*step-*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _problem_of_note(self, step: int) -> str | None:
        """Return what is wrong with a note, as the end of a sentence; None if it is right."""
        types = {"version": int, "fingerprint": dict, "bytes": int, "sha256": str}
        damaged = f"its note {self._note_path(step).name} is damaged"
        try:
            note = self._note(step)
        except (UserError, OSError, ValueError, RecursionError):
            return damaged
        if not isinstance(note, dict):
            return damaged
        if any(not isinstance(note.get(key), kind) for key, kind in types.items()):
            return damaged
        version, fingerprint = note["version"], note["fingerprint"]
        if version != _VERSION:
            return f"it was written by another version of memtrain ({version}, not {_VERSION})"
        others = [key for key, value in self._fingerprint.items() if fingerprint.get(key) != value]
        if others:
            return f"it belongs to another training (another {' and '.join(others)})"
        return None

    def _problem_of_state(self, step: int) -> str | None:
        """Return what is wrong with a state, as the end of a sentence; None if it is right."""
        note = self._note(step)
        try:
            size_bytes, sha256 = _size_and_digest(self._path(step))
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if size_bytes != note["bytes"]:
            return f"it is damaged: {size_bytes:,} bytes where {note['bytes']:,} were written"
        if sha256 != note["sha256"]:
            return "it is damaged: its digest is not the one that was noted when it was written"
        return None

    def _note(self, step: int) -> Any:
        return canonical_json.read(self._note_path(step), made_by="train")

    def _steps(self) -> list[int]:
        """Return the steps of all checkpoints, the newest first."""
        names = (path.stem.removeprefix("step-") for path in self.folder.glob("step-*.json"))
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step}.pt"

    def _note_path(self, step: int) -> Path:
        return self.folder / f"step-{step}.json"

    def _paths(self, step: int) -> list[Path]:
        return [self._path(step), self._note_path(step)]


def _size_and_digest(path: Path) -> tuple[int, str]:
    """Return the size of a file in bytes, and its SHA-256."""
    with open_file(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
