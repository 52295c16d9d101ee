"""Exports of a finished project, each validated by a tool for its format."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.validators.openlineage_schema import problems
from tests.workflow.conftest import environment

FIRST, SECOND = (f"results/small/splits/{split}/model.safetensors" for split in ("first", "second"))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def rewrite(path, change):
    """Change the content of a JSON file by a function."""
    content = json.loads(Path(path).read_text())
    change(content)
    Path(path).write_text(json.dumps(content))


def entities(project):
    """Return the entities of a project's crate by their ids."""
    graph = json.loads((project / "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_a_crate_passes_all_required_checks_of_the_validator(project, validate, tmp_path):
    before = {path for path in project.folder.rglob("*") if "lineage" not in path.parts}
    project.lineage("export", "rocrate", ".")
    after = {path for path in project.folder.rglob("*") if "lineage" not in path.parts}
    assert {path.name for path in after - before} == {"ro-crate-metadata.json"}
    status, report = validate("check_crate.py", project.folder, tmp_path / "cache.sqlite")
    assert (status, report["passed"], report["issues"]) == (0, True, [])
    statistics = report["statistics"]
    assert statistics["total_checks_by_severity"]["REQUIRED"] == statistics["total_checks"] >= 85
    assert {"provenance-run-crate-0.5", "ro-crate-1.1"} <= set(statistics["profiles"])

    model = entities(project)[FIRST]
    content = (project / FIRST).read_bytes()
    assert (model["sha256"], model["contentSize"]) == (sha256(content), str(len(content)))


def test_the_validator_finds_what_is_missing_from_a_crate(project, validate, tmp_path):
    project.lineage("export", "rocrate", ".")

    def forget_instruments(content):
        for entity in content["@graph"]:
            entity.pop("instrument", None)

    rewrite(project / "ro-crate-metadata.json", forget_instruments)
    status, report = validate("check_crate.py", project.folder, tmp_path / "cache.sqlite")
    assert status == 1
    assert not report["passed"]


def test_rows_in_a_crate_have_the_digest_of_their_bytes_in_the_file(project):
    project.lineage("export", "rocrate", ".")
    found = entities(project)
    data = (project / "results/small/data.npy").read_bytes()
    rows = [one for one in found.values() if "oa:SpecificResource" in one["@type"]]
    for one in rows:
        _, place = (found[selector["@id"]] for selector in one["oa:hasSelector"])
        assert sha256(data[place["oa:start"] : place["oa:end"]]) == one["sha256"]
    (training,) = (one for one in found.values() if one.get("name") == "train/first")
    read = [one["@id"] for one in training["object"] if one["@id"] in {row["@id"] for row in rows}]
    assert read == ["results/small/data.npy#row=0-999", "results/small/data.npy#row=1000-1499"]
    assert [one["@id"] for one in training["result"]][:1] == [FIRST]


def test_a_crate_of_a_changed_project_names_only_unchanged_files(project, validate, tmp_path):
    (project / FIRST).write_bytes(b"another, of another size")
    (project / SECOND).unlink()
    (project / "results/small/data.npy").write_bytes(b"no rows")
    project.lineage("export", "rocrate", ".")
    assert {FIRST, SECOND, "results/small/data.npy"}.isdisjoint(entities(project))
    assert validate("check_crate.py", project.folder, tmp_path / "cache.sqlite")[0] == 0


def test_the_prov_package_reads_the_exported_document(project):
    from prov.model import ProvDocument

    for name in ("prov.json", "prov.provn"):
        project.lineage("export", "prov", name, FIRST)
    document = ProvDocument.deserialize(project / "prov.json", format="json")
    assert ProvDocument.deserialize(content=document.serialize()) == document
    as_text = (project / "prov.provn").read_text()
    assert sorted(document.get_provn().splitlines()) == sorted(as_text.splitlines())
    used = {
        (int(*one.get_attribute("memtrain:firstRow")), int(*one.get_attribute("memtrain:endRow")))
        for one in document.get_records()
        if one.get_attribute("memtrain:firstRow")
    }
    # The split uses the whole first shard, and a part of the second.
    assert {(0, 1000), (1000, 1500)} <= used
    message = lineage_error(project, "export", "prov", "prov.xml")
    assert "prov.xml" in message
    assert ".json, .provn" in message


def lineage_error(project, *arguments):
    """Run lineage.py with a mistake in its arguments, and return its error message."""
    done = subprocess.run(
        ["python", "scripts/lineage.py", *arguments],
        cwd=project.folder,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    return done.stderr


def test_every_event_is_valid_by_the_schemas_of_openlineage_and_of_memtrain(project):
    project.lineage("withdraw", "--rows", "100:110", "--reason", "asked for", status=0)
    project.lineage("verify", status=1)
    with open(project / "config.yaml", "a") as file:
        file.write("report: 5\n")
    project.snakemake(check=False)
    project.configure(lambda content: content.pop("report"))
    project.configure(lambda content: content["splits"]["first"].update(training={"seed": 1}))
    shutil.rmtree(project / "results/small/state", ignore_errors=True)
    (project / "results/small/state").write_text("where the checkpoints would lie")
    project.snakemake(check=False)
    project.lineage("export", "openlineage", "events.ndjson")
    events = [json.loads(line) for line in (project / "events.ndjson").read_text().splitlines()]
    kinds = {(event["job"]["name"].partition("/")[0], event["eventType"]) for event in events}
    assert {("train", "COMPLETE"), ("workflow", "FAIL"), ("withdraw", "COMPLETE")} <= kinds
    assert {("verify", "COMPLETE"), ("train", "FAIL")} <= kinds, kinds
    assert [problem for event in events for problem in problems(event)] == []
    stamps = [event["eventTime"] for event in events]
    assert stamps == sorted(stamps)


def change_facet(name, **content):
    """Return a function that changes the content of the first facet of a name in an event."""

    def change(event):
        owners = [event["run"], *event["inputs"], *event["outputs"]]
        kinds = ("facets", "inputFacets", "outputFacets")
        facets = [owner[kind] for owner in owners for kind in kinds if kind in owner]
        next(one for one in facets if name in one)[name] |= content

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_facet("memtrain_file", colour="red"),
        change_facet("memtrain_file", size=-1),
        change_facet("memtrain_rows", pieces=[[0, 0, 10, "sha256:short", None]]),
        change_facet("memtrain_rows", parts={"": [[0, 10, 20]]}),
        change_facet("memtrain_details", details={"training": {"steps": 1}}),
        change_facet("memtrain_machine", facts={"password": "x"}),
        change_facet("memtrain_effort", facts={"seconds": "1", "peak_memory_bytes": 1}),
        change_facet("memtrain_code", roots=[{"name": "memtrain"}]),
        change_facet("executionParameters", parameters=[{"value": "no key"}]),
        lambda event: event.pop("eventTime"),
    ],
)
def test_the_schemas_refuse_content_that_they_do_not_define(finished_project, change):
    records = finished_project / "results/small/lineage/events"
    lines = [line for path in records.rglob("*.*") for line in path.read_text().splitlines()]
    events = [json.loads(line) for line in lines]
    (event,) = (
        event
        for event in events
        if (event["job"]["name"], event["eventType"]) == ("train/first", "COMPLETE")
    )
    assert problems(event) == []
    change(event)
    assert problems(event)


def test_a_statement_is_valid_and_its_signature_can_be_verified(project, validate):
    project.lineage("export", "slsa", "models.json", FIRST)
    status, found = validate("check_statement.py", project / "models.json")
    assert (status, found["subjects"]) == (0, 1)
    statement = json.loads((project / "models.json").read_text())
    content = (project / FIRST).read_bytes()
    assert statement["subject"] == [{"name": FIRST, "digest": {"sha256": sha256(content)}}]
    needed = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    rows = [one["annotations"]["rows"] for one in needed if "rows" in one["annotations"]]
    assert [0, 1000] in rows
    assert [1000, 1500] in rows

    project.lineage("sign", "--new-key", "one.key")
    project.lineage("sign", "--new-key", "other.key")
    assert os.stat(project / "one.key").st_mode & 0o777 == 0o600
    project.lineage("sign", "--key", "one.key", "models.json")
    verify = ("verify-signature", "--key", "one.key.pub", "models.json")
    assert "signed by one.key.pub" in project.lineage(*verify, FIRST)
    assert "NOT one of them" in project.lineage(*verify, SECOND, status=1)
    wrong = ("verify-signature", "--key", "other.key.pub", "models.json")
    assert "NOT signed by other.key.pub" in project.lineage(*wrong, status=1)
    assert payload(project / "models.json") == statement

    project.lineage("sign", "--key", "other.key", "models.json")
    project.lineage(*verify)
    project.lineage(*wrong)

    rewrite(project / "models.json", lambda envelope: envelope.update(payload=forged(envelope)))
    assert "changed since" in project.lineage(*verify, status=1)


def payload(path):
    """Return the statement in an envelope, decoded by the package of DSSE."""
    from securesystemslib.dsse import Envelope

    return json.loads(Envelope.from_dict(json.loads(path.read_text())).payload)


def forged(envelope):
    """Return the payload of an envelope with one word of its statement replaced."""
    from base64 import b64decode, b64encode

    statement = b64decode(envelope["payload"]).replace(b"first", b"other")
    return b64encode(statement).decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sign", "--key", "config.yaml", "config.yaml"), "not a private key"),
        (("sign", "--key", "k"), "needs the FILE"),
        (("sign", "--key", "gone", "config.yaml"), "gone: this file cannot be read"),
        (("sign", "--new-key", "config.yaml"), "a key is never overwritten"),
        (("verify-signature", "--key", "config.yaml", "config.yaml"), "not a public key"),
        (("export", "croissant", "c.json", FIRST), "name no PATH"),
        (("export", "rocrate", "results"), "in the folder of the project"),
        (("export", "prov", "p.json", "config.yaml"), "config.yaml"),
        (("replay", "--to", "localhost:5000"), "not an http URL"),
        (("replay", "--to", "http://user:word@localhost"), "OPENLINEAGE_API_KEY"),
    ],
)
def test_a_mistake_in_the_arguments_is_named(finished_project, arguments, message):
    assert message in lineage_error(finished_project, *arguments)


def test_a_missing_package_is_named_with_the_command_that_installs_it(project):
    # Python finds these modules before the real packages.
    (project / "scripts/prov.py").write_text("raise ImportError('not here')\n")
    (project / "scripts/securesystemslib.py").write_text("raise ImportError('not here')\n")
    for command in (("export", "prov", "p.json"), ("sign", "--key", "config.yaml", "config.yaml")):
        message = lineage_error(project, *command)
        assert "pip install -r envs/requirements-lineage.txt" in message
    project.lineage("export", "rocrate", ".")


def test_the_croissant_package_reads_the_exported_metadata(project, validate):
    project.lineage("export", "croissant", "croissant.json")
    status, found = validate("check_croissant.py", project / "croissant.json")
    assert (status, found["name"]) == (0, "small")
    ((url, digest),) = found["sha256"].items()
    assert digest == sha256((project / url).read_bytes())
    assert found["fields"] == {
        "features": ["http://mlcommons.org/croissant/Float32", "15"],
        "target": ["http://mlcommons.org/croissant/Float32", "1"],
    }
    rewrite(project / "croissant.json", lambda content: content["distribution"][0].pop("sha256"))
    assert validate("check_croissant.py", project / "croissant.json")[0] == 1


def test_croissant_metadata_of_changed_rows_has_the_digest_of_the_file_on_the_disk(project):
    data = project / "results/small/data.npy"
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    project.lineage("export", "croissant", "croissant.json")
    written = json.loads((project / "croissant.json").read_text())
    assert written["distribution"][0]["sha256"] == sha256(content)
