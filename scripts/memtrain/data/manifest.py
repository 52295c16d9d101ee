"""Shards: ranges of rows with the digest of their bytes and the statistics of their fields.

A manifest is ``manifest.json`` and, beside it, the folder ``manifest`` with its shards in parts of
so many; of a dataset with a million shards only the parts that are asked for are read.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, cut
from memtrain.core.wording import listed
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.record_file import (
    RecordLayout,
    dtype_from_json,
    dtype_to_json,
    read_layout,
)
from memtrain.data.row_digests import digest_rows
from memtrain.data.shard_summaries import PieceSummary, summarize_rows
from memtrain.system import canonical_json
from memtrain.system.digests import new_digest

SHARDS_PER_PART = 1024

_AUTO_SHARD_BYTES = 16 << 20
_PARTS_IN_MEMORY = 4


@dataclass(frozen=True)
class Manifest:
    """The shards of a data file, and the layout of the file that they were made from.

    Attributes:
        layout: of the file.
        rows_per_shard: of all shards but the last.
        algorithm: of the digests of the shards.
        shards: in order; read from their parts as they are asked for, or all in memory.
    """

    layout: RecordLayout
    rows_per_shard: int
    algorithm: str
    shards: Sequence[PieceSummary]

    def write(self, path: str | os.PathLike) -> None:
        """Write the manifest and its parts as canonical JSON."""
        write_manifest(path, self.layout, self.rows_per_shard, self.algorithm, self.shards)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest":
        """Read what ``write`` wrote; of the shards, none before it is asked for."""
        content = canonical_json.read(path, made_by="index_shards")
        try:
            file = content["file"]
            layout = RecordLayout(
                dtype=dtype_from_json(file["dtype"]),
                row_shape=tuple(file["row_shape"]),
                rows=file["rows"],
                offset=file["offset"],
            )
            shards = _ShardsInParts(path, content["shards"], content["shards_per_part"])
            return cls(layout, content["rows_per_shard"], content["digest"], shards)
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_manifest(path, error) from None

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
            if digest_rows(data, found, shard.rows, self.algorithm) != shard.digest:
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
            else summarize_rows(data, self.layout, piece, self.algorithm)
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
    algorithm: str = "sha256",
) -> Manifest:
    """Read a data file once and return its manifest, all in memory.

    Args:
        data: a record file, or any ``.npy`` file of rows.
        rows_per_shard: None for ``auto_rows_per_shard``.
        threads: shards that are read at the same time. The result does not depend on it.
        on_rows: called with the rows of each shard that is done, in order.
        algorithm: of the digests: sha256 or blake3.
    """
    layout = layout_with_rows(data)
    rows_per_shard = rows_per_shard or auto_rows_per_shard(layout)
    shards = list(summarize_shards(data, layout, rows_per_shard, threads, on_rows, algorithm))
    return Manifest(layout, rows_per_shard, algorithm, shards)


def layout_with_rows(data: str | os.PathLike) -> RecordLayout:
    """Return the layout of a file that holds rows.

    Raises:
        UserError: where it holds none.
    """
    layout = read_layout(data)
    if layout.rows == 0:
        raise UserError(f"{data}: it holds no rows. Bring at least one.")
    return layout


def summarize_shards(
    data: str | os.PathLike,
    layout: RecordLayout,
    rows_per_shard: int,
    threads: int,
    on_rows: Callable[[int], None],
    algorithm: str,
) -> Iterator[PieceSummary]:
    """Yield the shards of a file in order, with no more in memory than a part of them."""
    ranges = (piece for _, piece in cut(Range(0, layout.rows), rows_per_shard))
    with ThreadPoolExecutor(threads) as pool:
        while part := list(islice(ranges, SHARDS_PER_PART)):
            for shard in pool.map(
                lambda piece: summarize_rows(data, layout, piece, algorithm), part
            ):
                on_rows(shard.rows.rows)
                yield shard


def write_manifest(
    path: str | os.PathLike,
    layout: RecordLayout,
    rows_per_shard: int,
    algorithm: str,
    shards: Iterable[PieceSummary],
) -> None:
    """Write a manifest: its parts as their shards come, then the file that names them all."""
    shards, parts, count = iter(shards), [], 0
    while part := list(islice(shards, SHARDS_PER_PART)):
        content = [_shard_to_json(count + number, shard) for number, shard in enumerate(part)]
        canonical_json.write(part_path(path, len(parts)), {"shards": content})
        rows = Range(part[0].rows.start, part[-1].rows.end)
        parts.append(
            {"start": rows.start, "end": rows.end, "digest": _digest_of_digests(part, algorithm)}
        )
        count += len(part)
    canonical_json.write(
        path,
        {
            "file": {
                "dtype": dtype_to_json(layout.dtype),
                "row_shape": list(layout.row_shape),
                "rows": layout.rows,
                "row_bytes": layout.row_bytes,
                "offset": layout.offset,
            },
            "rows_per_shard": rows_per_shard,
            "digest": algorithm,
            "shards": count,
            "shards_per_part": SHARDS_PER_PART,
            "parts": parts,
        },
    )


def part_path(path: str | os.PathLike, part: int) -> Path:
    """Return the file of a part of a manifest."""
    return Path(path).with_suffix("") / f"part-{part:05}.json"


def part_paths(path: str | os.PathLike, manifest: Manifest) -> list[Path]:
    """Return the files of all parts of a manifest, in order."""
    count = -(-len(manifest.shards) // SHARDS_PER_PART)
    return [part_path(path, part) for part in range(count)]


class _ShardsInParts(Sequence[PieceSummary]):
    """The shards of a manifest on disk, read a part at a time."""

    def __init__(self, path: str | os.PathLike, count: int, shards_per_part: int):
        self._path, self._count, self._shards_per_part = path, count, shards_per_part
        self._part = lru_cache(_PARTS_IN_MEMORY)(self._read_part)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> PieceSummary:
        if not 0 <= number < self._count:
            raise IndexError(f"shard {number} of {self._count}")
        part, place = divmod(number, self._shards_per_part)
        return self._part(part)[place]

    def _read_part(self, part: int) -> list[PieceSummary]:
        path = part_path(self._path, part)
        content = canonical_json.read(path, made_by="index_shards")
        try:
            shards = [_shard_from_json(shard) for shard in content["shards"]]
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_manifest(path, error) from None
        expected = min(self._shards_per_part, self._count - part * self._shards_per_part)
        if len(shards) != expected:
            raise _not_a_manifest(path, f"{len(shards)} shards where {expected} should be")
        return shards


def describe_shards(shards: list[int]) -> str:
    """Return "shard 3" or "shards 3, 4, 7"."""
    return f"shard{'s' if len(shards) > 1 else ''} {listed(shards)}"


def _digest_of_digests(shards: list[PieceSummary], algorithm: str) -> str:
    digest = new_digest(algorithm)
    for shard in shards:
        digest.update(f"{shard.digest}\n".encode())
    return f"{algorithm}:{digest.hexdigest()}"


def _not_a_manifest(path: str | os.PathLike, problem: object) -> UserError:
    return UserError(
        f"{path}: this is not a manifest ({problem!r}). Remove it and run index_shards again."
    )


def _shard_to_json(number: int, shard: PieceSummary) -> dict[str, Any]:
    return {
        "id": number,
        "start": shard.rows.start,
        "end": shard.rows.end,
        "digest": shard.digest,
        "statistics": {name: part.to_json() for name, part in shard.statistics.items()},
    }


def _shard_from_json(content: dict[str, Any]) -> PieceSummary:
    return PieceSummary(
        rows=Range(content["start"], content["end"]),
        digest=content["digest"],
        statistics={
            name: FieldStatistics.from_json(part) for name, part in content["statistics"].items()
        },
    )
