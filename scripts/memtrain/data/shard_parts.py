"""The shards of a manifest on disk: files of JSON with up to ``SHARDS_PER_PART`` shards each.

Only the parts that are needed are read, which matters for a dataset with a million shards.
"""

import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, overload

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.field_statistics import FieldStatistics
from memtrain.data.shard_summaries import PieceSummary
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file, new_digest

SHARDS_PER_PART = 1024

_PARTS_IN_MEMORY = 4


@dataclass(frozen=True)
class ShardPart:
    """A file with consecutive shards.

    Attributes:
        file: the path of the file from the folder of the manifest.
        file_digest: digest of the file; None where the manifest does not name it.
        rows: the rows of the shards. The file may count them from another row.
        shards: number of the shards.
        digest: digest of the digests of the shards.
    """

    file: str
    file_digest: str | None
    rows: Range
    shards: int
    digest: str


def part_path(path: str | os.PathLike, part: int) -> Path:
    """Return the file of one part of a manifest that is indexed as a whole."""
    return Path(path).with_suffix("") / f"part-{part:05}.json"


def write_parts(
    path: str | os.PathLike,
    shards: Iterable[PieceSummary],
    algorithm: str,
    shards_per_part: int = SHARDS_PER_PART,
) -> list[ShardPart]:
    """Write each part of a manifest as soon as its shards arrive.

    Args:
        path: the manifest; the parts go to the folder of its name beside it.
        shards: all shards in order; memory holds those of one part.
        algorithm: algorithm of the shards' digests.
        shards_per_part: number of shards of every part but the last.
    """
    remaining = iter(shards)
    parts: list[ShardPart] = []
    count = 0
    while part := list(islice(remaining, shards_per_part)):
        content = [_shard_to_json(count + number, shard) for number, shard in enumerate(part)]
        file = part_path(path, len(parts))
        canonical_json.write(file, {"shards": content})
        parts.append(
            ShardPart(
                file=file.relative_to(file.parents[1]).as_posix(),
                file_digest=digest_of_file(file),
                rows=Range(part[0].rows.start, part[-1].rows.end),
                shards=len(part),
                digest=_digest_of_digests(part, algorithm),
            )
        )
        count += len(part)
    return parts


class ShardsInParts(Sequence[PieceSummary]):
    """The shards of a manifest on disk, read one part at a time.

    Args:
        folder: the folder of the manifest.
        parts: the parts, in order.

    Attributes:
        paths: the files of the parts, in order.
    """

    def __init__(self, folder: Path, parts: Sequence[ShardPart]):
        self.paths = [folder / part.file for part in parts]
        self._parts = parts
        self._first_shards = list(accumulate((part.shards for part in parts), initial=0))
        self._part = lru_cache(_PARTS_IN_MEMORY)(self._read_part)

    def __len__(self) -> int:
        return self._first_shards[-1]

    @overload
    def __getitem__(self, number: int) -> PieceSummary: ...

    @overload
    def __getitem__(self, number: slice) -> list[PieceSummary]: ...

    def __getitem__(self, number: int | slice) -> PieceSummary | list[PieceSummary]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"shard {number} of {len(self)}")
        part = bisect_right(self._first_shards, number) - 1
        return self._part(part)[number - self._first_shards[part]]

    def _read_part(self, number: int) -> list[PieceSummary]:
        path, part = self.paths[number], self._parts[number]
        content = canonical_json.read(path, made_by="index_shards")
        if digest_of_file(path) != part.file_digest:
            raise not_a_manifest(path, "its bytes are not those that were written")
        try:
            shards = [_shard_from_json(shard) for shard in content["shards"]]
        except (KeyError, TypeError, ValueError) as error:
            raise not_a_manifest(path, error) from None
        if len(shards) != part.shards:
            raise not_a_manifest(path, f"{len(shards)} shards where {part.shards} should be")
        return list(shifted(shards, part.rows.start - shards[0].rows.start))


def shifted(shards: Iterable[PieceSummary], rows: int) -> Iterable[PieceSummary]:
    """Return shards as they are called where their rows have larger numbers, by ``rows``."""
    if rows == 0:
        return shards
    return (
        replace(shard, rows=Range(shard.rows.start + rows, shard.rows.end + rows))
        for shard in shards
    )


def not_a_manifest(path: str | os.PathLike, problem: object) -> UserError:
    """Return the error for a file that is no manifest, and no part of one."""
    return UserError(
        f"{path}: this is not a manifest ({problem!r}). Remove it and run index_shards again."
    )


def _digest_of_digests(shards: list[PieceSummary], algorithm: str) -> str:
    digest = new_digest(algorithm)
    for shard in shards:
        digest.update(f"{shard.digest}\n".encode())
    return f"{algorithm}:{digest.hexdigest()}"


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
