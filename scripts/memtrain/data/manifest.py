"""The manifest of a data file: its shards, each with the digest and the statistics of its rows.

A manifest is the file ``manifest.json`` and, beside it, the folder ``manifest``, which holds the
shards in parts; see ``data.shard_parts``.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.shard_grid import ShardGrid
from memtrain.core.wording import listed
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, layout_from_json, layout_to_json, read_layout
from memtrain.data.places_in_files import file_borders
from memtrain.data.row_digests import digest_rows
from memtrain.data.shard_parts import (
    SHARDS_PER_PART,
    ShardPart,
    ShardsInParts,
    not_a_manifest,
    part_path,
    write_parts,
)
from memtrain.data.shard_summaries import PieceSummary, summarize_rows
from memtrain.system import checked_json


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
            shards = ShardsInParts(Path(path).parent, parts_from_json(path, content))
            return cls(
                layout,
                content["rows_per_shard"],
                content["digest"],
                shards,
                content["made_from"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise not_a_manifest(path, error) from None

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
    parts = write_parts(path, shards, algorithm)
    content = _content(layout, rows_per_shard, algorithm, parts, made_from)
    content |= {
        "shards_per_part": SHARDS_PER_PART,
        "parts": [_rows_of_part(part) for part in parts],
    }
    checked_json.write(path, content)


def write_joined_manifest(
    path: str | os.PathLike,
    *,
    layout: RowLayout,
    rows_per_shard: int,
    algorithm: str,
    parts: Sequence[ShardPart],
    made_from: Mapping[str, str],
) -> None:
    """Write a manifest of parts that lie on the disk: those of groups of files.

    Args:
        path: ``manifest.json``.
        layout: layout of the rows.
        rows_per_shard: number of rows of every shard but the last of a file.
        algorithm: algorithm of the shards' digests.
        parts: all parts in order, with the rows that they have in the whole.
        made_from: digests of what the manifest is made from.
    """
    content = _content(layout, rows_per_shard, algorithm, parts, made_from)
    content["parts"] = [
        {"file": part.file, "shards": part.shards, **_rows_of_part(part)} for part in parts
    ]
    checked_json.write(path, content)


def _content(
    layout: RowLayout,
    rows_per_shard: int,
    algorithm: str,
    parts: Sequence[ShardPart],
    made_from: Mapping[str, str],
) -> dict[str, Any]:
    """Return what every manifest says, but for its list of parts."""
    return {
        "made_from": dict(made_from),
        "files": {part.file: part.file_digest for part in parts},
        "file": layout_to_json(layout),
        "rows_per_shard": rows_per_shard,
        "digest": algorithm,
        "shards": sum(part.shards for part in parts),
    }


def part_paths(path: str | os.PathLike, manifest: Manifest) -> list[Path]:
    """Return the files of all parts of a manifest, in order."""
    if isinstance(manifest.shards, ShardsInParts):
        return manifest.shards.paths
    count = -(-len(manifest.shards) // SHARDS_PER_PART)
    return [part_path(path, part) for part in range(count)]


def parts_from_json(path: str | os.PathLike, content: Mapping[str, Any]) -> list[ShardPart]:
    """Return the parts that a manifest lists, in order.

    Args:
        path: the manifest.
        content: its content.
    """
    parts = []
    for number, part in enumerate(content["parts"]):
        own = part_path(path, number)
        file = part.get("file") or own.relative_to(own.parents[1]).as_posix()
        shards = part.get("shards") or min(
            content["shards_per_part"], content["shards"] - number * content["shards_per_part"]
        )
        parts.append(
            ShardPart(
                file=file,
                file_digest=content["files"].get(file),
                rows=Range(part["start"], part["end"]),
                shards=shards,
                digest=part["digest"],
            )
        )
    return parts


def describe_shards(shards: list[int]) -> str:
    """Return the numbers of shards as text: "shard 3" or "shards 3, 4, 7"."""
    return f"shard{'s' if len(shards) > 1 else ''} {listed(shards)}"


def _rows_of_part(part: ShardPart) -> dict[str, Any]:
    return {"start": part.rows.start, "end": part.rows.end, "digest": part.digest}
