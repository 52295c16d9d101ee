"""The checks of the campaigns find what is wrong with files and words, and nothing else."""

import json
import os
import random

import pytest
from campaigns.campaign import Bounds, Stream, run_campaign
from campaigns.checks import differing, ended_badly, left_over, not_told, path_of, stable_name, torn
from campaigns.damages import DAMAGES, damage
from campaigns.forked import Ended, run_forked
from campaigns.outcomes import FAULTS, TOLD, TORN, Outcome, Problem, worst

ROOT = "results/sample"


@pytest.fixture
def projects(tmp_path):
    """Return a function that writes a project of files below results/sample, by their names."""

    def write(name, **files):
        for file, content in files.items():
            path = tmp_path / name / ROOT / file.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / name

    return write


def kinds(problems):
    return [(problem.kind, problem.detail) for problem in problems]


def ended(output="", status=0, signal=None, is_hung=False):
    return Ended(status=status, signal=signal, is_hung=is_hung, output=output)


def test_a_part_of_a_file_is_torn_and_an_old_or_a_new_file_is_not(projects):
    before = projects("before", data_npy=b"old", source_json=b"{}")
    finished = projects("finished", data_npy=b"new!", source_json=b"{}")
    for content, expected in [(b"old", []), (b"new!", []), (b"new", [("torn file", 3)])]:
        project = projects("project", data_npy=content, source_json=b"{}")
        found = [(one.kind, int(one.detail.split()[1])) for one in torn(project, before, finished)]
        assert found == expected


def test_a_file_that_differs_from_run_to_run_is_whole_by_its_marks(projects):
    before, finished = projects("before", x_txt=b"x\n"), projects("finished", x_txt=b"x\n")
    halves = {"splits__a__performance_json": b'{"seconds": 1', "summary__page_html": b"<html>"}
    project = projects("project", **halves, summary__summary_md=b"| a |\n")
    found = {one.detail.split(":")[0] for one in torn(project, before, finished)}
    assert found == {f"{ROOT}/splits/a/performance.json", f"{ROOT}/summary/page.html"}


def test_other_bytes_and_files_that_are_gone_differ(projects):
    finished = projects("finished", data_npy=b"new", source_json=b"{}", lineage__started__x=b"")
    project = projects("project", data_npy=b"NEW")
    assert kinds(differing(project, finished)) == [
        ("other bytes", f"{ROOT}/data.npy has other bytes"),
        ("other bytes", f"{ROOT}/source.json is gone"),
    ]


def test_temporary_files_are_left_over_and_records_are_not(projects):
    finished = projects("finished", data_npy=b"new")
    project = projects("project", data_npy=b"new", lineage__started__y_jsonl=b"{}\n")
    assert left_over(project, finished) == []
    (project / ROOT / ".data.npy.abcd1234.part").write_bytes(b"n")
    assert kinds(left_over(project, finished)) == [("left over", f"{ROOT}/.data.npy.*.part")]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (ended("Traceback (most recent call last)\nOSError", status=1), "traceback"),
        (ended("fine\nException ignored in: x"), "traceback"),
        (ended(signal=11, status=None), "crash"),
        (ended(signal=9, status=None, is_hung=True), "hang"),
    ],
)
def test_bad_ends_are_found(end, kind):
    assert [problem.kind for problem in ended_badly(end)] == [kind]


def test_a_sentence_names_a_file():
    assert ended_badly(ended("x.py: error: a/b.json: it is damaged.", status=1)) == []
    assert not_told(ended("x.py: error: a/b.json: it is damaged.", status=1)) == []
    for words in ("", "x.py: error: it is damaged", "a/b.json"):
        assert [one.kind for one in not_told(ended(words, status=1))] == ["not told in a sentence"]


def test_the_worst_problem_is_the_outcome():
    problems = [Problem(FAULTS[-1], "left"), Problem(TORN, "half")]
    assert worst(problems, TOLD) == Outcome(TORN, "half")
    assert not worst([], TOLD).is_fault


def test_records_have_names_that_do_not_change(projects):
    project = projects("p", lineage__events__m__b_jsonl=b"", lineage__events__m__a_jsonl=b"")
    path = f"{ROOT}/lineage/events/m/b.jsonl"
    assert stable_name(project, path) == "record-1"
    assert path_of(project, "record-1") == path
    assert stable_name(project, "config.yaml") == path_of(project, "config.yaml") == "config.yaml"


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_damage_changes_a_file(tmp_path, kind):
    path, other = tmp_path / "a" / "x.json", tmp_path / "a" / "y.json"
    path.parent.mkdir()
    other.write_text("{}")
    content = json.dumps({"a": [1, 2.5], "b": "x"}, indent=1) + "\n"
    path.write_text(content)
    damage(path, kind, random.Random(1))
    status = path.lstat() if path.is_symlink() or path.exists() else None
    regular = status and path.is_file() and not path.is_symlink() and status.st_mode & 0o777
    assert not regular or path.read_bytes() != content.encode()


class _Planned:
    """A campaign whose outcomes are planned."""

    def streams(self):
        return [Stream(iter(["good/1", "bad/1", "bad/2"])), Stream(iter(["slow/1"]), 10)]

    def run(self, case):
        return Outcome(TORN, "data.npy: 3 bytes") if "bad" in case else Outcome(TOLD)


def test_a_campaign_lists_faults_with_the_command_that_repeats_them():
    result = run_campaign("kills", _Planned(), Bounds(seed=7, cases=None, seconds=5))
    assert list(result.faults) == ["bad/1", "bad/2"]
    table = result.table()
    assert "| fault: torn file | 2 |" in table
    assert "| fault: silent | 0 |" in table
    assert "python -m campaigns kills --seed 7 --only 'bad/2'" in table
    few = run_campaign("kills", _Planned(), Bounds(seed=7, cases=2, seconds=20))
    assert sorted(few.outcomes) == ["good/1", "slow/1"]


def test_a_child_runs_a_script_as_python_does(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "print(__name__, sys.argv[1:], os.getcwd())\n"
        "sys.exit(int(sys.argv[1])) if sys.argv[1:] else 1 / 0\n"
    )
    done = run_forked((str(script), "3"), tmp_path)
    assert (done.status, done.signal, done.is_hung) == (3, None, False)
    assert done.output == f"__main__ ['3'] {os.path.realpath(tmp_path)}\n"
    failed = run_forked((str(script),), tmp_path)
    assert failed.status == 1
    assert "ZeroDivisionError" in failed.output
