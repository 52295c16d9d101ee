"""Shards: ranges of rows with the digest of their bytes and the statistics of their fields."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtrain import canonical_json
from memtrain.errors import UserError, listed
from memtrain.field_statistics import ROWS_PER_PIECE, FieldStatistics, merge_all
from memtrain.ranges import Range, cut
from memtrain.record_file import (
    RecordLayout,
    dtype_from_json,
    dtype_to_json,
    read_layout,
)

_AUTO_SHARD_BYTES = 16 << 20
_CHUNK_BYTES = 3 << 19


@dataclass(frozen=True)
class PieceSummary:
    """What is kept of a piece of consecutive rows.

    Attributes:
        rows: the piece.
        sha256: hexadecimal digest of its bytes.
        statistics: of every field.
    """

    rows: Range
    sha256: str
    statistics: dict[str, FieldStatistics]


@dataclass(frozen=True)
class Manifest:
    """The shards of a data file, and the layout of the file that they were made from."""

    layout: RecordLayout
    rows_per_shard: int
    shards: list[PieceSummary]

    def write(self, path: str | os.PathLike) -> None:
        """Write the manifest as canonical JSON."""
        canonical_json.write(
            path,
            {
                "file": {
                    "dtype": dtype_to_json(self.layout.dtype),
                    "row_shape": list(self.layout.row_shape),
                    "rows": self.layout.rows,
                    "row_bytes": self.layout.row_bytes,
                    "offset": self.layout.offset,
                },
                "rows_per_shard": self.rows_per_shard,
                "shards": [_shard_to_json(*item) for item in enumerate(self.shards)],
            },
        )

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest":
        """Read what ``write`` wrote."""
        content = canonical_json.read(path, made_by="index_shards")
        try:
            file = content["file"]
            layout = RecordLayout(
                dtype=dtype_from_json(file["dtype"]),
                row_shape=tuple(file["row_shape"]),
                rows=file["rows"],
                offset=file["offset"],
            )
            shards = [_shard_from_json(shard) for shard in content["shards"]]
            return cls(layout, content["rows_per_shard"], shards)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: this is not a manifest ({error!r}). Remove it and run index_shards again."
            ) from None

    def check_belongs_to(self, data: str | os.PathLike, manifest: str | os.PathLike) -> None:
        """Refuse a file that is not the one that was indexed.

        Rows, dtype and size are compared whole; the bytes of the first and of the last shard.

        Raises:
            UserError: naming both files and what differs.
        """
        found = read_layout(data)
        remedy = "Run index_shards again."
        for what in ("rows", "dtype", "row_shape", "offset"):
            indexed, there = getattr(self.layout, what), getattr(found, what)
            if indexed != there:
                raise UserError(
                    f"{data}: {what} {there}, but {manifest} was made from a file with {what} "
                    f"{indexed}. {remedy}"
                )
        for position in sorted({0, len(self.shards) - 1}) if self.shards else ():
            shard = self.shards[position]
            if digest_rows(data, found, shard.rows) != shard.sha256:
                raise UserError(
                    f"{data}: the bytes of shard {position} (rows {shard.rows}) are not those that "
                    f"{manifest} was made from. {remedy}"
                )

    def pieces(self, data: str | os.PathLike, ranges: list[Range]) -> list[PieceSummary]:
        """Return summaries of exactly the rows of some ranges, cut at the shard borders.

        A whole shard's summary is taken from the manifest; at an edge the rows themselves are read.
        """
        return [
            shard
            if (shard := self.shards[number]).rows == piece
            else summarize_rows(data, self.layout, piece)
            for rows in ranges
            for number, piece in cut(rows, self.rows_per_shard)
        ]

    def touched(self, ranges: list[Range]) -> list[int]:
        """Return the ids of the shards that some ranges touch, each once, in order."""
        return sorted({number for rows in ranges for number, _ in cut(rows, self.rows_per_shard)})


def auto_rows_per_shard(layout: RecordLayout) -> int:
    """Return the power of two of rows that makes a shard about 16 MiB.

    It follows from the bytes of a row alone: a file that grows keeps its shards.
    """
    rows = max(1, _AUTO_SHARD_BYTES // max(1, layout.row_bytes))
    return 1 << (rows.bit_length() - 1)


def index_shards(
    data: str | os.PathLike,
    rows_per_shard: int | None = None,
    threads: int = 2,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Manifest:
    """Read a data file once and return its manifest.

    Args:
        data: a record file, or any ``.npy`` file of rows.
        rows_per_shard: None for ``auto_rows_per_shard``.
        threads: shards that are read at the same time. The result does not depend on it.
        on_rows: called with the rows of each shard that is done, in order.
    """
    layout = read_layout(data)
    if layout.rows == 0:
        raise UserError(f"{data}: it holds no rows. Bring at least one.")
    rows_per_shard = rows_per_shard or auto_rows_per_shard(layout)
    ranges = [piece for _, piece in cut(Range(0, layout.rows), rows_per_shard)]
    shards = []
    with ThreadPoolExecutor(threads) as pool:
        for shard in pool.map(lambda piece: summarize_rows(data, layout, piece), ranges):
            shards.append(shard)
            on_rows(shard.rows.rows)
    return Manifest(layout, rows_per_shard, shards)


def summarize_rows(data: str | os.PathLike, layout: RecordLayout, piece: Range) -> PieceSummary:
    """Read a piece of a file and return its digest and statistics, in flat memory."""
    digest = hashlib.sha256()
    parts: list[dict[str, FieldStatistics]] = []
    for rows in _read_chunks(data, layout, piece):
        digest.update(rows.view(np.uint8).reshape(-1).data)
        parts.append(_field_statistics(rows, layout))
    statistics = {name: merge_all([part[name] for part in parts]) for name in layout.fields}
    return PieceSummary(piece, digest.hexdigest(), statistics)


def digest_rows(data: str | os.PathLike, layout: RecordLayout, piece: Range) -> str:
    """Read a piece of a file and return the hexadecimal digest of its bytes, in flat memory."""
    digest = hashlib.sha256()
    for rows in _read_chunks(data, layout, piece):
        digest.update(rows.view(np.uint8).reshape(-1).data)
    return digest.hexdigest()


def first_nonfinite(
    data: str | os.PathLike, layout: RecordLayout, piece: Range
) -> tuple[int, str, int] | None:
    """Return row, field and column of the first NaN or infinity in a piece, or None."""
    start = piece.start
    for rows in _read_chunks(data, layout, piece):
        found = [
            (start + int(row), name, int(column))
            for name, values in _fields(rows, layout).items()
            if values.dtype.kind == "f"
            for row, column in np.argwhere(~np.isfinite(values))[:1]
        ]
        if found:
            return min(found)
        start += len(rows)
    return None


def describe_shards(shards: list[int]) -> str:
    """Return "shard 3" or "shards 3, 4, 7"."""
    return f"shard{'s' if len(shards) > 1 else ''} {listed(shards)}"


def _read_chunks(
    data: str | os.PathLike, layout: RecordLayout, piece: Range
) -> Iterator[np.ndarray]:
    """Yield the rows of a piece in chunks, all in one buffer that the next chunk overwrites."""
    rows_per_chunk = _rows_per_chunk(layout)
    buffer = np.empty((min(rows_per_chunk, piece.rows), *layout.row_shape), layout.dtype)
    with Path(data).open("rb", buffering=0) as file:
        for start in range(piece.start, piece.end, rows_per_chunk):
            rows = buffer[: min(rows_per_chunk, piece.end - start)]
            first, _ = layout.byte_range(start, start)
            target = rows.view(np.uint8).reshape(-1)
            read = 0
            while read < len(target):
                count = os.preadv(file.fileno(), [target[read:].data], first + read)
                if count == 0:
                    raise UserError(
                        f"{data}: it ends at byte {first + read:,}, within row "
                        f"{start + read // layout.row_bytes}, where {layout.rows:,} rows were "
                        "announced. Write the file anew."
                    )
                read += count
            yield rows


def _rows_per_chunk(layout: RecordLayout) -> int:
    # A whole number of pieces wherever rows are small, so that statistics are summed as always.
    rows = max(1, _CHUNK_BYTES // max(1, layout.row_bytes))
    return rows - rows % ROWS_PER_PIECE if rows > ROWS_PER_PIECE else rows


def _fields(rows: np.ndarray, layout: RecordLayout) -> dict[str, np.ndarray]:
    """Return every field of some rows as (rows, columns)."""
    if layout.dtype.names is None:
        return {name: rows.reshape(len(rows), -1) for name in layout.fields}
    return {name: rows[name].reshape(len(rows), -1) for name in layout.fields}


def _field_statistics(rows: np.ndarray, layout: RecordLayout) -> dict[str, FieldStatistics]:
    shared = _shared_float(layout)
    if shared is None:
        return {name: FieldStatistics.of(values) for name, values in _fields(rows, layout).items()}
    # Fields of one type lie side by side as one matrix: one pass serves all of them.
    whole = FieldStatistics.of(rows.view(shared).reshape(len(rows), -1))
    statistics, column = {}, 0
    for name, dtype in layout.fields.items():
        width = int(np.prod(dtype.shape, dtype=np.int64))
        statistics[name] = whole.columns(column, column + width)
        column += width
    return statistics


def _shared_float(layout: RecordLayout) -> np.dtype | None:
    """Return the float type that all fields have, lying without gaps, or None."""
    bases = {dtype.base for dtype in layout.fields.values()}
    packed = sum(dtype.itemsize for dtype in layout.fields.values()) == layout.row_bytes
    base = bases.pop()
    return base if not bases and packed and base.kind == "f" else None


def _shard_to_json(number: int, shard: PieceSummary) -> dict[str, Any]:
    return {
        "id": number,
        "start": shard.rows.start,
        "end": shard.rows.end,
        "sha256": shard.sha256,
        "statistics": {name: part.to_json() for name, part in shard.statistics.items()},
    }


def _shard_from_json(content: dict[str, Any]) -> PieceSummary:
    return PieceSummary(
        rows=Range(content["start"], content["end"]),
        sha256=content["sha256"],
        statistics={
            name: FieldStatistics.from_json(part) for name, part in content["statistics"].items()
        },
    )
