"""Counts the different values of a column, known by codes of 64 bits."""

import numpy as np

#: Codes that wait, at least, until they are sorted among those that are known.
_LEAST_WAITING = 1 << 16


class ValueCounts:
    """How many rows have each value of a column. Memory holds a few numbers for each value."""

    def __init__(self) -> None:
        self._codes = np.zeros(0, np.uint64)
        self._counts = np.zeros(0, np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting_codes = 0

    def add(self, codes: np.ndarray) -> None:
        """Count the values of some rows, uint64 (rows,)."""
        found, counts = np.unique(codes, return_counts=True)
        self._waiting.append((found, counts))
        self._waiting_codes += len(found)
        # Merged when they are as many as those that are known: each code is sorted a few times.
        if self._waiting_codes > max(_LEAST_WAITING, len(self._codes)):
            self._merge()

    @property
    def codes(self) -> np.ndarray:
        """The codes of all values, ascending, uint64 (values,)."""
        self._merge()
        return self._codes

    @property
    def counts(self) -> np.ndarray:
        """The number of rows with each value, in the order of ``codes``, int64 (values,)."""
        self._merge()
        return self._counts

    def _merge(self) -> None:
        if not self._waiting:
            return
        codes = np.concatenate([self._codes, *(found for found, _ in self._waiting)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._waiting)])
        self._waiting, self._waiting_codes = [], 0
        order = codes.argsort(kind="stable")
        codes, counts = codes[order], counts[order]
        firsts = np.flatnonzero(np.diff(codes, prepend=codes[:1] + np.uint64(1)))
        self._codes = codes[firsts]
        self._counts = np.add.reduceat(counts, firsts) if len(firsts) else counts
