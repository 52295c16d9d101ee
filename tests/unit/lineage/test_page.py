"""The content of the page, from made-up records, and the HTML of the page."""

import base64
import hashlib
import json
import re
from dataclasses import asdict

import pytest

from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.page.content import NO_RECORDS, page_content
from memtrain.lineage.page.graph import lineage_graph
from memtrain.lineage.page.last_verification import last_verification
from memtrain.lineage.page.rendering import ASSETS, PROGRAMS, render
from memtrain.lineage.page.split_lines import SplitLine
from memtrain.lineage.records.user_actions import record_action
from memtrain.recipes.withdrawals import Withdrawal
from tests.unit.lineage.lineage_records import Records, file, rows, rows_written
from tests.unit.lineage.many_splits import content_of

SPLITS = ["a", "b"]


def graph_of(folder, splits=SPLITS, **more):
    return lineage_graph(LineageIndex(folder), splits, **more)


def paths_of(graph):
    return {one.path: one for one in graph.files}


def inputs_of(graph, name):
    (run,) = (run for run in graph.runs if run.name == name)
    return {graph.files[one.file].path: one for one in run.inputs}


def chain(folder):
    records = Records(folder)
    records.add("generate_data", [], [rows_written("data", (0, 100), text="1")])
    recipes = [file(name, "recipe", name, part=name) for name in SPLITS]
    records.add("resolve_splits", [file("config", "configuration")], recipes)
    for name in SPLITS:
        read = [rows("data", (0, 50)), file(name, "recipe", name)]
        records.add("train", read, [file(f"m{name}", "model", name)], split=name)
    records.add("summarize", [file(f"m{n}", "model", n) for n in SPLITS], [file("s", "summary")])
    return records


def test_every_file_is_in_the_graph_once_with_its_writer_and_readers(tmp_path):
    chain(tmp_path)
    graph = graph_of(tmp_path)
    files = paths_of(graph)
    assert sorted(files) == ["a", "b", "config", "data", "ma", "mb", "s"]
    assert [run.name for run in graph.runs] == [
        "generate_data",
        "resolve_splits",
        "train/a",
        "train/b",
        "summarize",
    ]
    assert files["config"].run is None
    assert (files["b"].run, files["b"].split) == (1, "b")
    assert (files["mb"].run, files["mb"].split) == (3, "b")
    assert inputs_of(graph, "train/a")["data"].rows == [[0, 50]]
    assert not any(one.earlier for run in graph.runs for one in run.inputs)
    assert len(graph.shared.machine) == 1


def test_a_split_that_is_no_longer_configured_is_left_out(tmp_path):
    chain(tmp_path)
    graph = graph_of(tmp_path, ["b"])
    assert sorted(paths_of(graph)) == ["b", "config", "data", "ma", "mb", "s"]
    assert [run.name for run in graph.runs if run.split] == ["train/b"]


def test_an_input_that_was_overwritten_since_is_marked(tmp_path):
    records = chain(tmp_path)
    records.add("resolve_splits", [], [file("a", "recipe", "new", part="a")])
    graph = graph_of(tmp_path)
    assert inputs_of(graph, "train/b")["b"].earlier is None
    assert inputs_of(graph, "train/a")["a"].earlier.endswith("0a")
    assert paths_of(graph)["a"].digest.endswith("0new")
    assert graph.runs[paths_of(graph)["a"].run].job == "resolve_splits"


def test_the_later_of_two_versions_that_no_run_wrote_is_current(tmp_path):
    records = chain(tmp_path)
    records.add("evaluate", [file("config", "configuration", "2")], [file("e")], split="a")
    graph = graph_of(tmp_path)
    assert paths_of(graph)["config"].digest.endswith("02")
    assert inputs_of(graph, "resolve_splits")["config"].earlier


def test_a_run_that_has_not_ended_is_shown_on_request(tmp_path):
    records = chain(tmp_path)
    inputs, outputs = [file("mb", "model", "b")], [file("s", "summary", "2")]
    record = records.add("summarize", inputs, outputs, state="running")
    before, now = graph_of(tmp_path), graph_of(tmp_path, running=record.run_id)
    assert [run.state for run in before.runs].count("running") == 0
    assert [run.state for run in now.runs if run.job == "summarize"] == ["running"]
    assert list(inputs_of(now, "summarize")) == ["mb"]
    assert paths_of(now)["s"].digest.endswith("02")


def test_findings_hold_until_the_file_is_written_or_the_rows_are_indexed_again(tmp_path):
    def verified(*findings):
        facts = {"checked": 3, "findings": findings}
        record_action(tmp_path, "verify", "", kind="verification", facts=facts)

    def found():
        return [
            (one["kind"], one["path"]) for one in last_verification(LineageIndex(tmp_path)).findings
        ]

    records = chain(tmp_path)
    assert last_verification(LineageIndex(tmp_path)) is None
    on = [("changed", "ma"), ("changed", "mb"), ("withdrawn", "mb"), ("corrupt", "data")]
    verified(*({"kind": kind, "path": path, "message": "", "details": {}} for kind, path in on))
    assert found() == [("changed", "ma"), ("changed", "mb"), ("corrupt", "data")]
    later = {"ended_at": "2999-01-01T00:00:00.000000Z"}
    for job, output, left in (
        ("train", file("ma", "model", "2"), [("changed", "mb"), ("corrupt", "data")]),
        ("index_shards", file("manifest"), [("changed", "mb")]),
    ):
        record = records.add(job, [], [output], state="running")
        record.ended_at, record.state = later["ended_at"], "completed"
        records.store.ended(record)
        assert found() == left
    verified()
    assert found() == []


def test_a_page_without_records_says_so():
    content = page_content("x", [SplitLine("a", [(0, 5)], [(5, 9)])])
    assert content.notes == [NO_RECORDS]
    assert content.rows.count == 9
    assert content.graph.runs == []


HOSTILE = "</script><script>broken()</script><!--<b>"


def test_no_text_can_end_the_element_that_holds_it():
    withdrawn = Withdrawal(rows=(0, 1), reason=HOSTILE, at="x", digest="x")
    content = page_content(HOSTILE, [SplitLine(HOSTILE)], withdrawals=[withdrawn])
    page = render(content)
    assert HOSTILE not in page
    assert page.count("<script") == page.count("</script>") == 1 + len(PROGRAMS)
    (text,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', page)
    assert json.loads(text)["withdrawn"][0]["reason"] == HOSTILE
    assert json.loads(text) == json.loads(json.dumps(asdict(content)))


def test_the_policy_names_every_program_and_nothing_else():
    page = render(page_content("x", []))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    programs = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in programs
    ]
    assert re.search(r"script-src ([^;]*);", policy)[1].split() == [
        f"'sha256-{d}'" for d in digests
    ]
    assert policy.startswith("default-src 'none';")


@pytest.mark.slow
def test_a_page_of_200_splits_is_no_larger_than_a_picture(tmp_path):
    content = content_of(tmp_path)
    assert len(content.graph.runs) == 404
    assert len(content.rows.digests) == 10_000
    assert len(render(content)) < 2.5e6


def test_the_vendored_libraries_are_the_ones_that_are_named():
    table = (ASSETS / "vendored/README.md").read_text()
    named = dict(re.findall(r"^\| (\S+\.js) \|.* ([0-9a-f]{64}) \|", table, re.MULTILINE))
    found = {file.name: hashlib.sha256(file.read_bytes()) for file in ASSETS.glob("vendored/*.js")}
    assert named == {name: digest.hexdigest() for name, digest in found.items()}
    assert {f"vendored/{name}" for name in named} <= set(PROGRAMS)
