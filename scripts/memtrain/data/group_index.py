"""The index of rows in many files: a part of the manifest for every group of files.

The part of a group lies in ``manifest/<group>.json`` and in the folder of that name. It says what
it was made from, and counts its rows from 0, so that it stays what it is when files before it
change. ``join_groups`` makes the manifest of all parts.
"""

import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from memtrain.core.ranges import Range
from memtrain.data.file_groups import FileGroup, rows_digest
from memtrain.data.files_layout import FilesLayout
from memtrain.data.indexing import summarize_shards
from memtrain.data.made_from import statement_in
from memtrain.data.manifest import write_joined_manifest
from memtrain.data.shard_parts import (
    SHARDS_PER_PART,
    ShardPart,
    not_a_manifest,
    shifted,
    write_parts,
)
from memtrain.system import checked_json
from memtrain.system.digests import digest_of_file

#: Most columns whose statistics a part holds, over all of its shards: about 8 MB of JSON.
_COLUMNS_PER_PART = 1 << 17


@dataclass(frozen=True)
class GroupIndexing:
    """How groups of files are indexed.

    Attributes:
        data: the description of the rows, ``rows.json``.
        layout: the layout that it describes.
        manifest: ``manifest.json``; parts lie in the folder ``manifest`` beside it.
        rows_per_shard: number of rows of every shard but the last of a file.
        algorithm: algorithm of the shards' digests.
        made_from: digests of what every part is made from, by name, apart from its files.
        digest_of: the function that returns the digest of a whole file.
        threads: number of shards that are read at the same time.
    """

    data: str | os.PathLike
    layout: FilesLayout
    manifest: Path
    rows_per_shard: int
    algorithm: str
    made_from: Mapping[str, str]
    digest_of: Callable[[str], str]
    threads: int = 2

    def part_of(self, group: FileGroup) -> Path:
        """Return the file that says what the part of a group holds."""
        return self.manifest.with_suffix("") / f"{group.name}.json"

    def is_current(self, group: FileGroup) -> bool:
        """Return whether the part of a group is there, and is made from the files of today.

        Files whose digests are not known are read, where everything else is as it was.
        """
        statement = statement_in(self.part_of(group))
        common = {name: statement.made_from.get(name) for name in self.made_from}
        if common != self.made_from:
            return False
        folder = self.manifest.with_suffix("")
        return all(
            _has_digest(folder / file, digest) for file, digest in statement.files.items()
        ) and dict(statement.made_from) == self._made_from(group)

    def index(self, group: FileGroup, on_rows: Callable[[int], None]) -> None:
        """Read the rows of a group once, and write its part of the manifest.

        The digests of the whole files are taken at the same time, while the system still holds
        what was read.

        Args:
            group: the group.
            on_rows: function that is called with the number of rows of each shard, in order.
        """
        with ThreadPoolExecutor(1) as pool:
            made_from = pool.submit(self._made_from, group)
            shards = summarize_shards(
                self.data,
                self.layout,
                rows_per_shard=self.rows_per_shard,
                threads=self.threads,
                on_rows=on_rows,
                algorithm=self.algorithm,
                rows=group.rows,
            )
            part = self.part_of(group)
            own_shards = shifted(shards, -group.rows.start)
            parts = write_parts(part, own_shards, self.algorithm, self._shards_per_part)
            checked_json.write(
                part,
                {
                    "made_from": made_from.result(),
                    "files": {one.file: one.file_digest for one in parts},
                    "rows": group.rows.rows,
                    "parts": [asdict(one) for one in parts],
                },
            )

    def join(self, groups: Sequence[FileGroup], made_from: Mapping[str, str]) -> None:
        """Write the manifest of all groups, and remove parts that belong to none of them.

        Args:
            groups: all groups, whose parts there are.
            made_from: digests of what the manifest is made from, by name.

        Raises:
            UserError: where a part is missing, damaged, or of other rows.
        """
        parts = [part for group in groups for part in self._parts(group)]
        write_joined_manifest(
            self.manifest,
            layout=self.layout,
            rows_per_shard=self.rows_per_shard,
            algorithm=self.algorithm,
            parts=parts,
            made_from=made_from,
        )
        self._remove_others(groups)

    @property
    def _shards_per_part(self) -> int:
        """The number of shards of a part: fewer where rows have statistics of many columns."""
        shapes = [self.layout.statistics_shape(name) for name in self.layout.fields]
        columns = sum(map(math.prod, shapes))
        return max(1, min(SHARDS_PER_PART, _COLUMNS_PER_PART // max(1, columns)))

    def _parts(self, group: FileGroup) -> list[ShardPart]:
        """Return the files of the shards of a group, as the whole manifest names them."""
        path = self.part_of(group)
        content = checked_json.read(path, made_by=f"index_shards --group {group.name}")
        try:
            parts = [_part_from_json(part) for part in content["parts"]]
        except (KeyError, TypeError, ValueError) as error:
            raise not_a_manifest(path, error) from None
        if content["rows"] != group.rows.rows:
            raise not_a_manifest(path, f"{content['rows']} rows where {group.rows.rows} should be")
        first = group.rows.start
        return [
            replace(
                part,
                file=f"{path.parent.name}/{part.file}",
                rows=Range(first + part.rows.start, first + part.rows.end),
            )
            for part in parts
        ]

    def _made_from(self, group: FileGroup) -> dict[str, str]:
        files = rows_digest(self.layout, group.rows, self.digest_of)
        return {**self.made_from, "files": files}

    def _remove_others(self, groups: Sequence[FileGroup]) -> None:
        names = {group.name for group in groups}
        for path in self.manifest.with_suffix("").iterdir():
            if path.name.removesuffix(".json") in names or path.name.startswith("."):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and digest_of_file(path) == digest


def _part_from_json(content: Mapping[str, Any]) -> ShardPart:
    return ShardPart(**{**content, "rows": Range(*content["rows"])})
