"""What the page shows, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from memtrain.core.shard_grid import ONE_SECTION
from memtrain.data.manifest import Manifest
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.page.graph import LineageGraph, lineage_graph
from memtrain.lineage.page.last_verification import LastVerification, last_verification
from memtrain.lineage.page.split_lines import SplitLine
from memtrain.lineage.records.run_record import utc_now
from memtrain.recipes.withdrawals import Withdrawal

#: Where there are more shards, the page shows their borders without their digests.
_MAX_SHARD_DIGESTS = 20_000

NO_RECORDS = (
    "These runs left no records, so the page has no graph of them. Run the workflow, or give "
    "summarize the folder of the records with --records."
)
NOT_ENDED = (
    "This page was drawn by summarize while summarize still ran. It shows that run as running, "
    "and does not know yet why snakemake ran the jobs of this call. "
    "`python scripts/lineage.py page OUT.html` draws the page again."
)


@dataclass(frozen=True)
class RowsContent:
    """The rows of the dataset, and their shards.

    Attributes:
        count: the number of rows.
        per_shard: the number of rows of a shard; None where there is no manifest.
        sections: the rows at which the count of shards begins anew, with the shard there.
        shards: the number of shards.
        digests: the digests of the shards; empty where there are too many to show.
    """

    count: int
    per_shard: int | None = None
    sections: Sequence[tuple[int, int]] = ONE_SECTION
    shards: int = 0
    digests: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PageContent:
    """Everything that the page shows.

    Attributes:
        dataset: the name of the dataset.
        made_at: the time at which the page was drawn, ISO 8601.
        notes: sentences that the page shows above everything else.
        rows: the rows of the dataset.
        splits: the lines of the splits, in the order of the configuration.
        withdrawn: the rows, reason and time of each withdrawal.
        verification: the last comparison of all files with the records; None where there was none.
        graph: the graph of files and runs; empty where there are no records.
    """

    dataset: str
    made_at: str
    notes: list[str]
    rows: RowsContent
    splits: list[SplitLine]
    withdrawn: list[dict[str, Any]]
    verification: LastVerification | None
    graph: LineageGraph


def page_content(
    dataset: str,
    splits: Sequence[SplitLine],
    *,
    manifest: Manifest | None = None,
    withdrawals: Sequence[Withdrawal] = (),
    index: LineageIndex | None = None,
    running: str | None = None,
    notes: Sequence[str] = (),
) -> PageContent:
    """Return what the page shows.

    Args:
        dataset: the name of the dataset.
        splits: the lines of the splits, in the order of the configuration.
        manifest: the manifest of the shards; None for a page without shards.
        withdrawals: the withdrawals of the dataset.
        index: the index of the records; None where there are none.
        running: the UUID of the run that draws the page and has not ended; None where no recorded
            run draws it.
        notes: what the page says above everything else.
    """
    shown = [*notes, *([NOT_ENDED] if running else [])]
    shown += [NO_RECORDS] if index is None else map(str, index.damaged)
    graph = LineageGraph()
    if index is not None:
        graph = lineage_graph(index, [split.name for split in splits], running)
    return PageContent(
        dataset=dataset,
        made_at=utc_now(),
        notes=shown,
        rows=_rows(manifest, splits),
        splits=list(splits),
        withdrawn=[
            one.model_dump(mode="json", include={"rows", "reason", "at"}) for one in withdrawals
        ],
        verification=None if index is None else last_verification(index),
        graph=graph,
    )


def _rows(manifest: Manifest | None, splits: Sequence[SplitLine]) -> RowsContent:
    """Return the rows and shards of a manifest; without one, the rows that splits use."""
    if manifest is None:
        ends = [end for split in splits for _, end in split.ranges]
        return RowsContent(max(ends, default=0))
    count = len(manifest.shards)
    return RowsContent(
        count=manifest.layout.rows,
        per_shard=manifest.rows_per_shard,
        sections=manifest.grid.sections,
        shards=count,
        digests=[one.digest for one in manifest.shards] if count <= _MAX_SHARD_DIGESTS else [],
    )
