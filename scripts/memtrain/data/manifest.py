"""The manifest of a data file: its shards, each with the digest and the statistics of its rows.

A manifest is the file ``manifest.json`` and, beside it, the folder ``manifest``, which holds the
shards in parts of ``SHARDS_PER_PART``. Only the parts that are needed are read, which matters for a
dataset with a million shards.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, overload

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.shard_grid import ShardGrid
from memtrain.core.wording import listed
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, layout_from_json, layout_to_json, read_layout
from memtrain.data.places_in_files import file_borders
from memtrain.data.row_digests import digest_rows
from memtrain.data.shard_summaries import PieceSummary, summarize_rows
from memtrain.system import canonical_json, checked_json
from memtrain.system.digests import digest_of_file, new_digest

SHARDS_PER_PART = 1024

_PARTS_IN_MEMORY = 4


@dataclass(frozen=True)
class Manifest:
    """The shards of a data file, and the layout that the file had when it was indexed.

    Attributes:
        layout: layout of the file.
        rows_per_shard: number of rows of every shard but the last of a file.
        algorithm: algorithm of the shards' digests.
        shards: all shards in order; a manifest that was read from disk loads them on demand.
        made_from: digests of what the manifest was made from; see ``data.made_from``.
    """

    layout: RowLayout
    rows_per_shard: int
    algorithm: str
    shards: Sequence[PieceSummary]
    made_from: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def grid(self) -> ShardGrid:
        """Where the rows are cut into shards."""
        return shard_grid(self.layout, self.rows_per_shard)

    def write(self, path: str | os.PathLike) -> None:
        """Write the manifest and its parts as canonical JSON."""
        write_manifest(
            path,
            layout=self.layout,
            rows_per_shard=self.rows_per_shard,
            algorithm=self.algorithm,
            shards=self.shards,
            made_from=self.made_from,
        )

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest":
        """Read a manifest that ``write`` wrote, without its parts.

        Raises:
            UserError: where the file is missing or is no manifest.
        """
        content = checked_json.read(path, made_by="index_shards")
        try:
            layout = layout_from_json(content["file"], Path(path).parent)
            shards = _ShardsInParts(
                path, content["shards"], content["shards_per_part"], content["files"]
            )
            return cls(
                layout,
                content["rows_per_shard"],
                content["digest"],
                shards,
                content["made_from"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_manifest(path, error) from None

    def check_belongs_to(self, data: str | os.PathLike, manifest: str | os.PathLike) -> None:
        """Refuse a file that is not the one that was indexed.

        The layout is compared, and so are the bytes of the first and of the last shard.

        Args:
            data: the file to check.
            manifest: name of this manifest, for messages.

        Raises:
            UserError: naming both files and what differs.
        """
        found = read_layout(data)
        remedy = "Run index_shards again."
        indexed, today = layout_to_json(self.layout), layout_to_json(found)
        for attribute, expected in indexed.items():
            actual = today.get(attribute)
            if actual != expected and attribute not in ("stored", "views"):
                raise UserError(
                    f"{data}: {attribute} {actual}, but {manifest} was made from a file with "
                    f"{attribute} {expected}. {remedy}"
                )
        if indexed != today:
            raise UserError(f"{data}: its files are not those that {manifest} describes. {remedy}")
        for number in sorted({0, len(self.shards) - 1}) if self.shards else ():
            shard = self.shards[number]
            if digest_rows(data, found, shard.rows, self.algorithm) != shard.digest:
                raise UserError(
                    f"{data}: the bytes of shard {number} (rows {shard.rows}) are not those that "
                    f"{manifest} was made from. {remedy}"
                )

    def pieces(self, data: str | os.PathLike, ranges: list[Range]) -> list[PieceSummary]:
        """Return summaries of exactly the rows of some ranges, cut at the borders of the shards.

        The summary of a whole shard comes from the manifest. For a part of a shard, the rows
        themselves are read.
        """
        return [
            shard
            if (shard := self.shards[number]).rows == piece
            else summarize_rows(data, self.layout, piece, self.algorithm)
            for rows in ranges
            for number, piece in self.grid.cut(rows)
        ]

    def touched_shards(self, ranges: list[Range]) -> list[int]:
        """Return the numbers of the shards that some ranges touch, each once, in order."""
        return sorted({number for rows in ranges for number, _ in self.grid.cut(rows)})


def shard_grid(layout: RowLayout, rows_per_shard: int) -> ShardGrid:
    """Return where rows are cut into shards: in each file after every so many rows."""
    borders = file_borders(layout) if isinstance(layout, FilesLayout) else ()
    return ShardGrid.with_borders(rows_per_shard, borders)


def write_manifest(
    path: str | os.PathLike,
    *,
    layout: RowLayout,
    rows_per_shard: int,
    algorithm: str,
    shards: Iterable[PieceSummary],
    made_from: Mapping[str, str],
) -> None:
    """Write each part of a manifest as soon as its shards arrive, and ``manifest.json`` last.

    Args:
        path: ``manifest.json``; the parts go to the folder ``manifest`` beside it.
        layout: layout of the data file.
        rows_per_shard: number of rows of every shard but the last.
        algorithm: algorithm of the shards' digests.
        shards: all shards in order; memory holds those of one part.
        made_from: digests of what the manifest is made from.
    """
    remaining = iter(shards)
    parts: list[dict[str, Any]] = []
    files: dict[str, str] = {}
    count = 0
    while part := list(islice(remaining, SHARDS_PER_PART)):
        content = [_shard_to_json(count + number, shard) for number, shard in enumerate(part)]
        file = part_path(path, len(parts))
        canonical_json.write(file, {"shards": content})
        files[file.relative_to(file.parents[1]).as_posix()] = digest_of_file(file)
        rows = Range(part[0].rows.start, part[-1].rows.end)
        parts.append(
            {"start": rows.start, "end": rows.end, "digest": _digest_of_digests(part, algorithm)}
        )
        count += len(part)
    checked_json.write(
        path,
        {
            "made_from": dict(made_from),
            "files": files,
            "file": layout_to_json(layout),
            "rows_per_shard": rows_per_shard,
            "digest": algorithm,
            "shards": count,
            "shards_per_part": SHARDS_PER_PART,
            "parts": parts,
        },
    )


def part_path(path: str | os.PathLike, part: int) -> Path:
    """Return the file of one part of a manifest."""
    return Path(path).with_suffix("") / f"part-{part:05}.json"


def part_paths(path: str | os.PathLike, manifest: Manifest) -> list[Path]:
    """Return the files of all parts of a manifest, in order."""
    count = -(-len(manifest.shards) // SHARDS_PER_PART)
    return [part_path(path, part) for part in range(count)]


class _ShardsInParts(Sequence[PieceSummary]):
    """The shards of a manifest on disk, read one part at a time.

    Args:
        path: the manifest.
        count: number of all shards.
        shards_per_part: number of shards of every part but the last.
        digests: the digest of the file of every part, by its path from the manifest's folder.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        count: int,
        shards_per_part: int,
        digests: Mapping[str, str],
    ):
        self._path = path
        self._count = count
        self._shards_per_part = shards_per_part
        self._digests = digests
        self._part = lru_cache(_PARTS_IN_MEMORY)(self._read_part)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> PieceSummary: ...

    @overload
    def __getitem__(self, number: slice) -> list[PieceSummary]: ...

    def __getitem__(self, number: int | slice) -> PieceSummary | list[PieceSummary]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(self._count))]
        if not 0 <= number < self._count:
            raise IndexError(f"shard {number} of {self._count}")
        part, place = divmod(number, self._shards_per_part)
        return self._part(part)[place]

    def _read_part(self, part: int) -> list[PieceSummary]:
        path = part_path(self._path, part)
        content = canonical_json.read(path, made_by="index_shards")
        if digest_of_file(path) != self._digests.get(path.relative_to(path.parents[1]).as_posix()):
            raise _not_a_manifest(path, "its bytes are not those that were written")
        try:
            shards = [_shard_from_json(shard) for shard in content["shards"]]
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_manifest(path, error) from None
        expected = min(self._shards_per_part, self._count - part * self._shards_per_part)
        if len(shards) != expected:
            raise _not_a_manifest(path, f"{len(shards)} shards where {expected} should be")
        return shards


def describe_shards(shards: list[int]) -> str:
    """Return the numbers of shards as text: "shard 3" or "shards 3, 4, 7"."""
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
