"""Events are those that OpenLineage's own client would write, and ids are UUIDs of version 7."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openlineage.client import event_v2
from openlineage.client.generated import (
    base_subset_dataset,
    dataset_version_dataset,
    environment_variables_run,
    error_message_run,
    execution_parameters_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    source_code_location_job,
)
from openlineage.client.serde import Serde
from openlineage.client.uuid import generate_new_uuid

from memtrain.core.ranges import Range
from memtrain.lineage.records.openlineage_events import PRODUCER, from_events, to_events
from memtrain.lineage.records.run_id import new_uuid
from memtrain.lineage.records.run_record import CodeRoot, FileUse, PieceUse, RunRecord

START, END = "2026-01-02T03:04:05.678901Z", "2026-01-02T04:04:05Z"
MODULES = (
    *(base_subset_dataset, dataset_version_dataset, environment_variables_run, error_message_run),
    *(execution_parameters_run, input_statistics_input_dataset, job_type_job),
    *(output_statistics_output_dataset, parent_run, processing_engine_run),
    source_code_location_job,
)
FACETS = {name: one for module in MODULES for name, one in vars(module).items()}

#: Makes what stands in the facets of the standard from its JSON.
PARTS = {
    "run": lambda part: parent_run.Run(part["runId"]),
    "job": lambda part: parent_run.Job(part["namespace"], part["name"]),
    "parameters": lambda parts: [
        execution_parameters_run.ExecutionParameter(**part) for part in parts
    ],
    "environmentVariables": lambda parts: [
        environment_variables_run.EnvironmentVariable(**part) for part in parts
    ],
    "inputCondition": lambda part: condition(part),
    "outputCondition": lambda part: condition(part),
}


def condition(part):
    content = {key: value for key, value in part.items() if key != "type"}
    match part["type"]:
        case "field":
            return base_subset_dataset.FieldBaseCompareExpression(**content)
        case "literal":
            return base_subset_dataset.LiteralCompareExpression(**content)
        case "compare":
            kind = base_subset_dataset.CompareSubsetCondition
        case "binary":
            kind = base_subset_dataset.BinarySubsetCondition
    sides = {side: condition(content.pop(side)) for side in ("left", "right")}
    return kind(**sides, **content)


def facet_of_client(facet):
    """Return a facet as the client writes it, from the content of ours."""
    name = facet["_schemaURL"].rpartition("/")[2]
    content = {key: value for key, value in facet.items() if not key.startswith("_")}
    made = {key: PARTS.get(key, lambda part: part)(value) for key, value in content.items()}
    return Serde.to_dict(FACETS[name](**made)) | {"_producer": PRODUCER}


def standard_facets(event):
    owners = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    for owner in owners:
        for kind in ("facets", "inputFacets", "outputFacets"):
            for name, facet in owner.get(kind, {}).items():
                if not name.startswith("memtrain_"):
                    yield name, facet


def event_of_client(event):
    """Return an event without its facets and datasets as the client writes it."""
    run, job = event["run"]["runId"], event["job"]
    return Serde.to_dict(
        event_v2.RunEvent(
            eventTime=event["eventTime"],
            producer=PRODUCER,
            eventType=event_v2.RunState[event["eventType"]],
            run=event_v2.Run(run),
            job=event_v2.Job(job["namespace"], job["name"]),
        )
    )


def bare(event):
    return event | {
        "run": event["run"] | {"facets": {}},
        "job": event["job"] | {"facets": {}},
        "inputs": [],
        "outputs": [],
    }


RANGES = st.lists(
    st.builds(lambda start, rows: Range(start, start + rows), st.integers(0, 99), st.just(5)),
    max_size=5,
)
FILES = st.lists(
    st.builds(
        FileUse,
        path=st.sampled_from(["data.npy", "résultats/x.json"]),
        role=st.sampled_from(["rows", "model"]),
        size=st.integers(0, 2**60),
        modified_ns=st.integers(0, 2**60),
        digest=st.sampled_from([None, "sha256:00"]),
        rows=st.dictionaries(st.sampled_from(["", "part"]), RANGES, max_size=2),
        pieces=st.just([PieceUse(shard=0, rows=Range(0, 5), digest="sha256:1", shard_digest=None)]),
        rows_in_all=st.sampled_from([None, 0, 100]),
    ),
    max_size=3,
)
RECORDS = st.builds(
    RunRecord,
    run_id=st.builds(new_uuid),
    job=st.sampled_from(["train", "workflow"]),
    started_at=st.just(START),
    split=st.sampled_from([None, "first"]),
    parent_id=st.sampled_from([None, new_uuid()]),
    ended_at=st.just(END),
    state=st.sampled_from(["completed", "failed", "stopped"]),
    message=st.sampled_from([None, "", "it failed"]),
    inputs=FILES,
    outputs=FILES,
    parameters=st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.text()),
    environment=st.sampled_from(
        [{}, {"python": "3.12.1", "packages": {}, "variables": {"OMP_NUM_THREADS": "1"}}]
    ),
    code=st.sampled_from(
        [[], *([CodeRoot("memtrain", commit, True, {})] for commit in (None, "0f"))]
    ),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(RECORDS)
def test_events_are_those_of_the_client_of_openlineage(record):
    events = to_events(record)
    for event in events:
        assert bare(event) == event_of_client(event)
        for name, facet in standard_facets(event):
            assert facet == facet_of_client(facet), name
    assert from_events(events) == record


@pytest.mark.parametrize("make", [new_uuid, lambda: str(generate_new_uuid())])
def test_ids_are_uuids_of_version_7_in_the_order_of_time(make):
    made = [make() for _ in range(1000)]
    assert len(set(made)) == len(made)
    assert [one[:13] for one in made] == sorted(one[:13] for one in made)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made} == {
        (7, uuid.RFC_4122)
    }
