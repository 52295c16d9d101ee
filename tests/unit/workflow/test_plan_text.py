"""What a dry run says in words, and how long it expects jobs to take."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.config.reading import parse_configuration
from memtrain.config.results import ResultsLayout
from memtrain.system import canonical_json
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.workflow.code_reader import CodeReader
from memtrain.workflow.expected_seconds import (
    SECONDS_OF_A_START,
    Expected,
    ExpectedSeconds,
    chains_of_splits,
    seconds_on_cores,
)
from memtrain.workflow.plan_text import in_words, plan_lines
from memtrain.workflow.planned_work import PlannedSplit, PlannedWork
from memtrain.workflow.today import Today

SPLITS = {
    "a": {"train": [0, 1000], "evaluate": [1000, 1100]},
    "b": {"train": [0, 500], "evaluate": [1000, 1100]},
    "c": {"train": [0, "50%"], "training": {"model": {"name": "mlp", "hidden": [4]}}},
}
CONTENT = {
    "dataset": {"name": "d", "mock": {"rows": 2000, "features": 2}},
    "splits": SPLITS,
    "training": {"epochs": 3, "threads": 2},
}

WORK = PlannedWork(
    before={"resolve_splits": "a: settings changed"},
    splits=(
        PlannedSplit("a", "yes", "its settings changed: epochs: 1 -> 3", "yes", "yes"),
        PlannedSplit("b", "yes", "its settings changed: epochs: 1 -> 3", "yes", "yes"),
        PlannedSplit("c", "no", "", "no", "no"),
    ),
    summarizes=True,
)


@pytest.fixture
def expected(tmp_path, monkeypatch):
    """A function that returns the expectations, where the files that it names are there."""
    monkeypatch.chdir(tmp_path)
    results = ResultsLayout.of_dataset("d")

    def make(files=(), content=CONTENT):
        for name, text in dict(files).items():
            (results.root / name).parent.mkdir(parents=True, exist_ok=True)
            (results.root / name).write_text(text)
        notes = FileNotes(None)
        return ExpectedSeconds(
            Today(
                parse_configuration(content),
                results,
                scripts=tmp_path,
                withdrawals=tmp_path / "withdrawals.yaml",
                known=KnownDigests(notes, None),
                reader=CodeReader(notes),
            )
        )

    return make


def ran(seconds):
    """Return what Snakemake notes of a job."""
    return json.dumps({"s": 1.0}) + "\n" + json.dumps({"s": seconds}) + "\n"


MANIFEST = {"manifest.json": canonical_json.dumps({"file": {"rows": 2000}})}
SPEED = {"splits/a/performance.json": json.dumps({"rows_per_second": 100.0})}


def test_a_training_takes_its_rows_by_the_speed_of_its_last_run(expected):
    a = expected(MANIFEST | SPEED).of_job("train", "a")
    assert a == Expected(1000 * 3 / 100 + SECONDS_OF_A_START, "last training")


def test_a_training_like_another_is_as_fast(expected):
    b = expected(MANIFEST | SPEED).of_job("train", "b")
    assert b == Expected(500 * 3 / 100 + SECONDS_OF_A_START, "other training")


def test_nothing_is_said_of_another_model_or_of_rows_that_are_not_there(expected):
    assert expected(SPEED).of_job("train", "a") == Expected(None)
    assert expected(MANIFEST).of_job("train", "c") == Expected(None)


def test_a_training_that_stops_early_takes_at_most_as_long(expected):
    training = CONTENT["training"] | {"early_stopping": {"patience": 2}}
    training["validation"] = {"share": "10%"}
    a = expected(MANIFEST | SPEED, CONTENT | {"training": training}).of_job("train", "a")
    assert a.is_limit


def test_other_jobs_take_as_long_as_last_time(expected):
    found = expected(
        {"benchmarks/evaluate/a.jsonl": ran(4.0), "benchmarks/summarize.jsonl": ran(2.5)}
    )
    assert found.of_job("evaluate", "a") == Expected(4.0, "last job")
    assert found.of_job("evaluate", "b") == Expected(4.0, "last job")
    assert found.of_job("summarize", None) == Expected(2.5, "last job")
    assert found.of_job("draw", "a") == Expected(None)


def test_the_words_of_a_plan(expected):
    lines = plan_lines(WORK, expected(MANIFEST | SPEED), cores=2)
    assert [line.strip() for line in lines] == [
        "In words, this would be made:",
        "first the recipes (a: settings changed)",
        "2 trainings: a, b (its settings changed: epochs: 1 -> 3)",
        "then 2 evaluations, their figures and the summary",
        "current, and kept: 1 training with what was made of it (c)",
        # One after the other, since each takes two threads.
        "about 53 s on 2 cores (trainings by the rows/s of their last runs; trainings by the "
        "rows/s of others like them)",
        "not counted, since none ran here before: draw, evaluate, resolve_splits, summarize",
    ]


def test_what_is_not_known_is_said(expected):
    text = "\n".join(plan_lines(WORK, expected(), cores=2))
    assert "how long 'a', 'b' take is not known" in text
    assert "about" not in text


def test_what_runs_perhaps_is_told_apart(expected):
    maybe = replace(WORK.splits[1], trains="perhaps", why="so", evaluates="perhaps", draws="no")
    work = replace(WORK, splits=(WORK.splits[0], maybe, WORK.splits[2]))
    text = "\n".join(plan_lines(work, expected(MANIFEST | SPEED), cores=2))
    assert "1 training: a (" in text
    assert "perhaps 1 more training: b (so)" in text
    assert "then 1 evaluation, " in text
    assert "about 34 s on" in text
    assert "if all runs that is perhaps, 19 s of computing more" in text


def test_nothing_to_make(expected):
    work = PlannedWork({}, (PlannedSplit("a", "no", "", "no", "no"),), False)
    assert plan_lines(work, expected(), 2) == []


@pytest.mark.slow
@given(st.lists(st.lists(st.floats(0, 100), min_size=1), min_size=1), st.integers(0, 8))
def test_chains_take_between_their_share_of_the_cores_and_all_of_the_time(chains, at_a_time):
    took, sums = seconds_on_cores(chains, at_a_time), [sum(chain) for chain in chains]
    lower = max(max(sums), sum(sums) / max(at_a_time, 1))
    assert lower * (1 - 1e-9) <= took <= sum(sums) * (1 + 1e-9)
    assert at_a_time > 1 or took == pytest.approx(sum(sums))


def test_jobs_of_a_split_follow_each_other():
    jobs = [("train", "a"), ("train", "b"), ("evaluate", "a"), ("summarize", None)]
    assert list(chains_of_splits(jobs)) == [
        [("train", "a"), ("evaluate", "a")],
        [("train", "b")],
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (41.7, "42 s"), (150, "2 min"), (9000, "2 h"), (400_000, "5 days")],
)
def test_times_are_rough(seconds, words):
    assert in_words(seconds) == words
