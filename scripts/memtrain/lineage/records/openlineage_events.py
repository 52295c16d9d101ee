"""Turns records of runs into OpenLineage events, and back.

A run is two events: START, and COMPLETE, FAIL or ABORT. Facts are in the facets of the standard as
far as it has them. All other facts are in facets of our own, whose names begin with "memtrain_" and
whose schemas are in ``schemas/lineage.schema.json``. See https://openlineage.io/docs/spec.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from memtrain.core.ranges import Range
from memtrain.lineage.records.record_types import first_problem
from memtrain.lineage.records.run_record import FileUse, RunRecord, State
from memtrain.system import canonical_json

#: The namespace of all jobs and datasets. A dataset is named by its path relative to the project.
NAMESPACE = "memtrain"
PRODUCER = "urn:memtrain"
SCHEMA = "urn:memtrain:lineage.schema.json"

_EVENT_TYPES: dict[State, str] = {
    "completed": "COMPLETE",
    "failed": "FAIL",
    "stopped": "ABORT",
    "running": "RUNNING",
}
_STATES: dict[str, State] = {event_type: state for state, event_type in _EVENT_TYPES.items()}

#: A condition takes 300 bytes a range. If a file has more ranges, our own facet alone has them.
_RANGES_IN_CONDITIONS = 1000

#: The schema of an event, and those of the standard's facets that events have. The client of
#: OpenLineage would make the same events (a test compares them), but it takes longer to import than
#: a small job takes.
_EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_FACET_SCHEMAS = {
    name: f"{version}/{file}.json#/$defs/{name}"
    for name, version, file in (
        ("DatasetVersionDatasetFacet", "1-0-1", "DatasetVersionDatasetFacet"),
        ("EnvironmentVariablesRunFacet", "1-0-0", "EnvironmentVariablesRunFacet"),
        ("ErrorMessageRunFacet", "1-0-1", "ErrorMessageRunFacet"),
        ("ExecutionParametersRunFacet", "1-0-0", "ExecutionParametersRunFacet"),
        ("InputStatisticsInputDatasetFacet", "1-0-0", "InputStatisticsInputDatasetFacet"),
        ("InputSubsetInputDatasetFacet", "1-0-0", "BaseSubsetDatasetFacet"),
        ("JobTypeJobFacet", "2-0-4", "JobTypeJobFacet"),
        ("OutputStatisticsOutputDatasetFacet", "1-0-2", "OutputStatisticsOutputDatasetFacet"),
        ("OutputSubsetOutputDatasetFacet", "1-0-0", "BaseSubsetDatasetFacet"),
        ("ParentRunFacet", "1-2-0", "ParentRunFacet"),
        ("ProcessingEngineRunFacet", "1-1-1", "ProcessingEngineRunFacet"),
        ("SourceCodeLocationJobFacet", "1-1-0", "SourceCodeLocationJobFacet"),
    )
}

#: The attributes of ``RunRecord`` that have a facet of our own each.
_RUN_FACTS = ("environment", "machine", "effort")


def to_events(record: RunRecord) -> list[dict[str, Any]]:
    """Return the events of a run: that of its start, and that of its end if it has ended."""
    if record.ended_at is None:
        return [_event(record, "START", record.started_at)]
    # The event of the end has all facts; the first one need not repeat them.
    start = RunRecord(record.run_id, record.job, record.started_at, record.split, record.parent_id)
    return [
        _event(start, "START", record.started_at),
        _event(record, _EVENT_TYPES[record.state], record.ended_at),
    ]


def from_events(events: Iterable[dict[str, Any]]) -> RunRecord:
    """Return the record of a run from its events. Facets of other versions are ignored.

    Args:
        events: the events, in the order of time.

    Raises:
        ValueError: where these are not the events of a run.
    """
    try:
        return _record_type().validate_python(_content(list(events)))
    except ValidationError as error:
        raise ValueError(f"it is not the record of a run: {first_problem(error)}") from None
    except (IndexError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"these are not the events of a run ({error!r})") from None


@cache
def _record_type() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


def _content(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes of a ``RunRecord``, unchecked, from the events of a run."""
    first, last = events[0], events[-1]
    facets, job = last["run"].get("facets", {}), last["job"]
    parent = facets.get("parent")
    name, _, split = job["name"].partition("/")
    has_ended = last["eventType"] != "START"
    return {
        "run_id": last["run"]["runId"],
        "job": name,
        "split": split or None,
        "parent_id": parent["run"]["runId"] if parent else None,
        "started_at": first["eventTime"],
        "ended_at": last["eventTime"] if has_ended else None,
        "state": _STATES[last["eventType"]] if has_ended else "running",
        "message": facets.get("errorMessage", {}).get("message"),
        "results": facets.get("memtrain_results", {}).get("folder"),
        "inputs": [_file(dataset, "inputFacets") for dataset in last.get("inputs", [])],
        "outputs": [_file(dataset, "outputFacets") for dataset in last.get("outputs", [])],
        "parameters": {
            one["key"]: canonical_json.parse(one["value"])
            for one in facets.get("executionParameters", {}).get("parameters", [])
        },
        "code": facets.get("memtrain_code", {}).get("roots", []),
        "details": facets.get("memtrain_details", {}).get("details", {}),
        **{name: facets.get(f"memtrain_{name}", {}).get("facts", {}) for name in _RUN_FACTS},
    }


def _event(record: RunRecord, kind: str, at: str) -> dict[str, Any]:
    return {
        "eventTime": at,
        "producer": PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "eventType": kind,
        "run": {"runId": record.run_id, "facets": dict(_run_facets(record))},
        "job": {
            "namespace": NAMESPACE,
            "name": record.name,
            "facets": dict(_job_facets(record)),
        },
        "inputs": [_dataset(file, "inputFacets") for file in record.inputs],
        "outputs": [_dataset(file, "outputFacets") for file in record.outputs],
    }


def _run_facets(record: RunRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    if record.parent_id:
        run = {"runId": record.parent_id, "facets": {}}
        job = {"namespace": NAMESPACE, "name": "workflow", "facets": {}}
        yield "parent", _standard("ParentRunFacet", run=run, job=job)
    if (text := record.message) is not None:
        message = _standard("ErrorMessageRunFacet", message=text, programmingLanguage="PYTHON")
        yield "errorMessage", message
    parameters = [
        {"key": name, "name": name, "value": json.dumps(value, sort_keys=True)}
        for name, value in sorted(record.parameters.items())
    ]
    if parameters:
        facet = _standard("ExecutionParametersRunFacet", parameters=parameters)
        yield "executionParameters", facet
    if facts := record.environment:
        variables = [{"name": name, "value": value} for name, value in facts["variables"].items()]
        facet = _standard("EnvironmentVariablesRunFacet", environmentVariables=variables)
        yield "environmentVariables", facet
        engine = _standard("ProcessingEngineRunFacet", version=facts["python"], name="Python")
        yield "processing_engine", engine
    if record.results:
        yield "memtrain_results", _own("Run", "results", folder=record.results)
    for name in _RUN_FACTS:
        if facts := getattr(record, name):
            yield f"memtrain_{name}", _own("Run", name, facts=facts)
    if record.code:
        yield "memtrain_code", _own("Run", "code", roots=[vars(root) for root in record.code])
    if record.details:
        yield "memtrain_details", _own("Run", "details", details=record.details)


def _job_facets(record: RunRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = _standard(
        "JobTypeJobFacet",
        processingType="BATCH",
        integration="SNAKEMAKE",
        jobType="DAG" if record.job == "workflow" else "TASK",
    )
    yield "jobType", kind
    if record.code:
        place = _standard(
            "SourceCodeLocationJobFacet",
            type="git",
            url=PRODUCER,
            path=f"scripts/{record.job}.py",
            version=record.code[0].commit,
        )
        yield "sourceCodeLocation", place


def _dataset(file: FileUse, facets_of_use: str) -> dict[str, Any]:
    """Return a file as a dataset of an event.

    Args:
        file: the file.
        facets_of_use: "inputFacets" for an input of the run, "outputFacets" for an output.
    """
    facets = {
        "memtrain_file": _own(
            "Dataset", "file", role=file.role, size=file.size, modifiedNs=file.modified_ns
        )
    }
    if file.digest:
        facets["version"] = _standard("DatasetVersionDatasetFacet", datasetVersion=file.digest)
    use = dict(_use_facets(file, is_input=facets_of_use == "inputFacets"))
    return {"namespace": NAMESPACE, "name": file.path, "facets": facets, facets_of_use: use}


def _use_facets(file: FileUse, is_input: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the facets that say how much of a file a run used, and which rows."""
    used_rows = sum(rows.rows for ranges in file.rows.values() for rows in ranges)
    amount = {"rowCount": used_rows or file.rows_in_all, "size": file.size}
    if is_input:
        yield "inputStatistics", _standard("InputStatisticsInputDatasetFacet", **amount)
    else:
        yield "outputStatistics", _standard("OutputStatisticsOutputDatasetFacet", **amount)
    if file.rows or file.pieces or file.rows_in_all is not None:
        yield (
            "memtrain_rows",
            _own(
                "InputDataset" if is_input else "OutputDataset",
                "rows",
                rowsInAll=file.rows_in_all,
                parts={part: [list(rows) for rows in ranges] for part, ranges in file.rows.items()},
                pieces=[
                    [piece.shard, *piece.rows, piece.digest, piece.shard_digest]
                    for piece in file.pieces
                ],
            ),
        )
        ranges = sorted({rows for ranges in file.rows.values() for rows in ranges})
        if 0 < len(ranges) <= _RANGES_IN_CONDITIONS:
            yield "subset", _subset(_condition(ranges), is_input)


def _condition(ranges: list[Range]) -> dict[str, Any]:
    """Return the standard's condition for "the row lies in one of these ranges"."""

    def compare(sign: str, number: int) -> dict[str, Any]:
        return {
            "type": "compare",
            "left": {"type": "field", "field": "row"},
            "right": {"type": "literal", "value": str(number)},
            "comparison": sign,
        }

    def join(left: dict[str, Any], right: dict[str, Any], operator: str) -> dict[str, Any]:
        return {"type": "binary", "left": left, "right": right, "operator": operator}

    conditions = [
        join(compare("GREATER_EQUAL_THAN", rows.start), compare("LESS_THAN", rows.end), "AND")
        for rows in ranges
    ]
    # Joined in pairs of pairs, so that thousands of ranges do not nest thousands deep.
    while len(conditions) > 1:
        joined = [
            join(left, right, "OR")
            for left, right in zip(conditions[::2], conditions[1::2], strict=False)
        ]
        conditions = joined + conditions[2 * len(joined) :]
    return conditions[0]


def _subset(condition: dict[str, Any], is_input: bool) -> dict[str, Any]:
    if is_input:
        return _standard("InputSubsetInputDatasetFacet", inputCondition=condition)
    return _standard("OutputSubsetOutputDatasetFacet", outputCondition=condition)


def _file(dataset: dict[str, Any], facets_of_use: str) -> dict[str, Any]:
    """Return the attributes of the ``FileUse`` that ``_dataset`` made a dataset from."""
    facets, use = dataset.get("facets", {}), dataset.get(facets_of_use, {})
    file, rows = facets.get("memtrain_file", {}), use.get("memtrain_rows", {})
    return {
        "path": dataset["name"],
        "role": file.get("role", "file"),
        "size": file.get("size", 0),
        "modified_ns": file.get("modifiedNs", 0),
        "digest": facets.get("version", {}).get("datasetVersion"),
        "rows": rows.get("parts", {}),
        "pieces": [
            {"shard": shard, "rows": [start, end], "digest": digest, "shard_digest": shard_digest}
            for shard, start, end, digest, shard_digest in rows.get("pieces", [])
        ],
        "rows_in_all": rows.get("rowsInAll"),
    }


def _standard(name: str, /, **content: Any) -> dict[str, Any]:
    """Return a facet of the standard as JSON; what is None is left out."""
    known = {key: value for key, value in content.items() if value is not None}
    return {"_producer": PRODUCER, "_schemaURL": f"{_FACETS}/{_FACET_SCHEMAS[name]}", **known}


def _own(kind: str, name: str, **content: Any) -> dict[str, Any]:
    """Return a facet of our own as JSON; ``kind`` is the standard's kind of facet, like "Run"."""
    return {"_producer": PRODUCER, "_schemaURL": f"{SCHEMA}#/$defs/{name}{kind}Facet", **content}
