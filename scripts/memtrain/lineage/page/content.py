"""What the page shows, as plain data: a function of the records and of what lies on the disk."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from memtrain.data.manifest import Manifest
from memtrain.lineage.page.graph import lineage_graph
from memtrain.lineage.page.last_verification import last_verification
from memtrain.lineage.page.split_lines import SplitLine
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.records.run_record import utc_now
from memtrain.recipes.withdrawals import Withdrawal

#: Of more shards than these, the page has the borders alone.
_DIGESTS_AT_MOST = 20_000

_NO_GRAPH: dict[str, Any] = {"files": [], "runs": [], "shared": {}}

NO_RECORDS = (
    "No records are kept of these runs, so there is no graph of them: give --records, or run the "
    "workflow."
)
NOT_ENDED = (
    "Drawn by summarize while it ran: its own run is shown as running, and why the jobs of this "
    "call of snakemake ran is not known yet. `python scripts/lineage.py page` draws the page anew."
)


def page_content(
    dataset: str,
    splits: Sequence[SplitLine],
    manifest: Manifest | None = None,
    withdrawals: Sequence[Withdrawal] = (),
    index: LineageIndex | None = None,
    running: str | None = None,
) -> dict[str, Any]:
    """Return what the page shows.

    Args:
        dataset: its name.
        splits: in the order of the configuration.
        manifest: that the borders of the shards are from.
        withdrawals: of the dataset.
        index: of the records, where some are kept.
        running: the id of the run that draws the page, if it is recorded.
    """
    notes = [NO_RECORDS] if index is None else [str(damaged) for damaged in index.damaged]
    graph = _NO_GRAPH
    if index is not None:
        graph = lineage_graph(index, [split.name for split in splits], running)
    return {
        "dataset": dataset,
        "made_at": utc_now(),
        "notes": [*([NOT_ENDED] if running else []), *notes],
        "rows": _rows(manifest, splits),
        "splits": [asdict(split) for split in splits],
        "withdrawn": [one.model_dump(mode="json", exclude={"digest"}) for one in withdrawals],
        "verification": None if index is None else last_verification(index),
        "graph": graph,
    }


def _rows(manifest: Manifest | None, splits: Sequence[SplitLine]) -> dict[str, Any]:
    """Return how many rows there are, and their shards."""
    if manifest is None:
        ends = [end for split in splits for _, end in (*split.train, *split.evaluate)]
        return {"count": max(ends, default=0), "per_shard": None, "shards": 0, "digests": []}
    count = len(manifest.shards)
    return {
        "count": manifest.layout.rows,
        "per_shard": manifest.rows_per_shard,
        "shards": count,
        "digests": [one.digest for one in manifest.shards] if count <= _DIGESTS_AT_MOST else [],
    }
