"""Keeps predictions that are not complete yet, so that a program that was killed goes on from them.

They lie in pieces in a folder beside the file that they will become, with a list of the pieces,
their digests, and what they were made from. Pieces hold whole batches, so that the batches after
them are those of a run that nobody has killed.
"""

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memtrain.core.errors import UserError
from memtrain.system import checked_json
from memtrain.system.atomic_files import atomic_file
from memtrain.system.digests import digest_of_file
from memtrain.system.writing_errors import UnwritableError

_LIST = "pieces.json"

#: A piece is written when it has so many bytes, however young it is.
_BYTES_OF_A_PIECE = 32 << 20

_log = logging.getLogger(__name__)


class KeptPredictions:
    """The predictions for the first rows.

    Args:
        path: the file that the predictions will become.
        made_from: digests of model, code and rows. Pieces that were made from others are removed.
        seconds: how old predictions get before a piece is written.

    Attributes:
        rows: the rows that are kept.
        unknown: of these, the rows with words that no training row has, by column.
    """

    def __init__(self, path: str | os.PathLike, made_from: Mapping[str, str], seconds: float):
        target = Path(os.path.realpath(path))
        self._folder = target.with_name(f".{target.name}.unfinished")
        self._made_from = dict(made_from)
        self._seconds = seconds
        self._is_kept = target.parent.is_dir() and (target.is_file() or not target.exists())
        self._pieces = self._read() if self._is_kept else []
        self.rows = sum(piece["rows"] for piece in self._pieces)
        self.unknown: Counter[str] = Counter()
        for piece in self._pieces:
            self.unknown.update(piece["unknown"])
        self._new: list[np.ndarray] = []
        self._new_rows = self._new_bytes = 0
        self._since = time.monotonic()

    def read(self) -> Iterator[np.ndarray]:
        """Yield the records of the pieces, in order."""
        for number in range(len(self._pieces)):
            yield np.load(self._path(number), mmap_mode="r", allow_pickle=False)

    def add(self, records: np.ndarray, rows: int, unknown: Mapping[str, int]) -> None:
        """Take the records of the next batch; write a piece where it is time.

        Args:
            records: the records.
            rows: the rows that they are predictions of.
            unknown: the rows so far, the kept ones included, with unknown words, by column.
        """
        if not self._is_kept:
            return
        self._new.append(records)
        self._new_rows += rows
        self._new_bytes += records.nbytes
        is_due = time.monotonic() - self._since >= self._seconds
        if self._new_bytes >= _BYTES_OF_A_PIECE or (is_due and self._new_bytes):
            try:
                self._write(Counter(unknown))
            except UnwritableError as error:
                _log.warning("%s Should this run be killed, the next one starts anew.", error)
                self._is_kept = False
            self._new, self._new_rows, self._new_bytes = [], 0, 0
            self._since = time.monotonic()

    def remove(self) -> None:
        """Remove the pieces."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, unknown: Counter[str]) -> None:
        path = self._path(len(self._pieces))
        records = np.concatenate(self._new)
        with atomic_file(path) as file:
            np.save(file, records, allow_pickle=False)
        own = {name: count - self.unknown[name] for name, count in unknown.items()}
        entry = {"rows": self._new_rows, "digest": digest_of_file(path), "unknown": own}
        self._pieces.append(entry)
        self.unknown = unknown
        content = {"made_from": self._made_from, "pieces": self._pieces}
        checked_json.write(self._folder / _LIST, content)

    def _read(self) -> list[dict[str, Any]]:
        """Return the pieces that an earlier run has left, up to the first that is damaged."""
        try:
            content = checked_json.read(self._folder / _LIST, made_by="predict")
        except (UserError, OSError):
            content = {}
        if content.get("made_from") != self._made_from:
            if content:
                _log.warning(
                    "An earlier run was not finished, and predicted other rows, or by another "
                    "model or code. This one starts anew."
                )
            self.remove()
            return []
        pieces: list[dict[str, Any]] = []
        for number, piece in enumerate(content["pieces"]):
            path = self._path(number)
            if not path.is_file() or digest_of_file(path) != piece["digest"]:
                _log.warning("%s: this piece is damaged, and is made again.", path)
                break
            pieces.append(piece)
        return pieces

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.npy"
