"""Writes OpenLineage events as they were recorded, one event a line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memtrain.lineage.export.provenance import Provenance
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.system.atomic_files import atomic_file


def write_events(events: Sequence[dict[str, Any]], path: Path) -> None:
    """Write events as JSON, one a line."""
    with atomic_file(path) as file:
        for event in events:
            file.write(json.dumps(event, sort_keys=True).encode() + b"\n")


def events_of_provenance(index: LineageIndex, provenance: Provenance) -> list[dict[str, Any]]:
    """Return the events of the runs of a provenance, the oldest first."""
    run_ids = {run.run_id for run in (*provenance.runs, *provenance.workflow_runs)}
    return [event for event in all_events(index) if event["run"]["runId"] in run_ids]


def all_events(index: LineageIndex) -> list[dict[str, Any]]:
    """Return the events of all recorded runs, the oldest first."""
    events = (event for name in index.record_names() for event in index.store.events(name))
    return sorted(events, key=lambda event: event["eventTime"])
