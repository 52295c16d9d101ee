"""Names, numbers and digests that nothing has are told, and never answered with "nothing"."""

import json
import os

import pytest

import lineage
from memtrain.config.dataset import MockSettings
from memtrain.data.mock_rows import write_mock_data
from tests.unit.lineage.lineage_records import digest_of, file
from tests.unit.lineage.test_models_on_disk import Project

MODEL = "results/d/splits/b/model.safetensors"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path)
    write_mock_data(made.results.data, MockSettings(rows=100, features=2))
    made.record_training("b", 20)
    made.records.add("other", outputs=[file("results/d/other", text="2")])
    return made


def status_of(*arguments):
    try:
        return lineage.main(list(arguments))
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["impact", "--rows", "100"], "rows [100, 101): results/d/data.npy has 100 rows, and no"),
        (["impact", "--digest", "xyz"], "--digest xyz: no record has this digest"),
        (["impact", "--digest", ""], "--digest '': no record has this digest"),
        (["impact", "--digest", "sha256:"], "--digest sha256:: no record has this digest"),
        (["impact", "--digest", "000000"], "2 digests begin so: "),
        (["explain", ""], "'': no record names this file"),
        (["explain", "x" * 5000], "'xxxxx"),
        (["diff", "nothing"], "nothing: this is neither the id of a recorded run nor a file"),
        (["diff", f"{MODEL}~{'9' * 5000}"], "this is neither the id"),
        (["diff", "01900000-0000-7000-8000-000000000001"], "this names one run. Name a second"),
        (["diff", MODEL], "only one recorded run wrote it"),
        (["log", "--results", "nowhere"], "nowhere: there is no such folder"),
        (["restore", "--at", "2030"], "no withdrawal of d is called so"),
        (["restore"], "no withdrawal is named"),
    ],
)
def test_what_is_not_there_is_told(project, caplog, arguments, told):
    assert status_of(*arguments) == 2
    assert told in caplog.text
    assert len(caplog.messages[-1]) < 1000
    assert not os.path.exists("nowhere")


@pytest.mark.parametrize("since", ["yesterday", "", "12", "2026-13-01"])
def test_a_time_that_is_none_is_refused(project, capsys, since):
    assert status_of("replay", "--to", "http://localhost:9", "--since", since) == 2
    assert "is no time such as 2026-01-31T12:00" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["withdraw", "--rows", "5", "--reason", " "], ["accept", "--all", "--reason", ""]]
)
def test_an_empty_reason_is_refused(project, capsys, arguments):
    assert status_of(*arguments) == 2
    assert "a reason is needed; this one is empty" in capsys.readouterr().err


def test_the_beginning_of_a_digest_is_enough(project, capsys):
    digest = digest_of("1")
    for name in (digest, digest_of("b20")):
        assert status_of("impact", "--digest", name, "--json") == 0
        assert MODEL in [one["path"] for one in json.loads(capsys.readouterr().out)]
    model = project.models().models[1]
    assert status_of("impact", "--digest", f"sha256:{'0' * 63}1", "--json") == 0
    assert model.path in [one["path"] for one in json.loads(capsys.readouterr().out)]


def test_rows_that_are_there_in_part_are_answered_with_a_warning(project, capsys, caplog):
    assert status_of("impact", "--rows", "25:1000", "--json") == 0
    assert [one["path"] for one in json.loads(capsys.readouterr().out)] == [MODEL]
    assert "rows [25, 1000): results/d/data.npy has 100 rows; the answer" in caplog.text
