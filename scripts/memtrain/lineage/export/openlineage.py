"""OpenLineage events as they were recorded, an event a line."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memtrain.lineage.export.provenance import Provenance
from memtrain.lineage.queries.index import LineageIndex
from memtrain.system.atomic_files import written_aside


def write_events(events: Sequence[dict[str, Any]], path: Path) -> None:
    """Write events as JSON, a line each."""
    with written_aside(path) as file:
        for event in events:
            file.write(json.dumps(event, sort_keys=True).encode() + b"\n")


def events_of(index: LineageIndex, provenance: Provenance) -> list[dict[str, Any]]:
    """Return the events of all runs of a provenance, the oldest first."""
    run_ids = {run.run_id for run in (*provenance.runs, *provenance.calls)}
    return [event for event in all_events(index) if event["run"]["runId"] in run_ids]


def all_events(index: LineageIndex) -> list[dict[str, Any]]:
    """Return the events of all recorded runs, the oldest first."""
    return sorted(_stored(index), key=lambda event: event["eventTime"])


def _stored(index: LineageIndex) -> Iterator[dict[str, Any]]:
    query = "SELECT name FROM record WHERE problem IS NULL ORDER BY name"
    for row in index.rows.execute(query):
        yield from index.store.events(row["name"])
