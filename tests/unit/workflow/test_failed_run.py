"""Why a job has failed, and what is told of a run that is not finished."""

import pytest

from memtrain.core.errors import UserError
from memtrain.system import checked_json
from memtrain.workflow.failed_run import failed_job, mistakes_of_job, reason_in_log
from memtrain.workflow.unfinished_run import FailedJob, UnfinishedRun

CHAINED = """\
rows: 100
Traceback (most recent call last):
  File "own.py", line 3, in load
    return table[key]
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 30, in <module>
    run(main)
own.errors.NoSuchColumn: there is no column x
  try another one
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (CHAINED, "own.errors.NoSuchColumn: there is no column x"),
        ("Traceback (most recent call last):\n  File\nMemoryError\n", "MemoryError"),
        ("step 3\nstep 4\n", "it ended without saying why; perhaps it was killed"),
        ("", "it ended without saying why; perhaps it was killed"),
        ("x" * 300_000 + "\n" + CHAINED, "own.errors.NoSuchColumn: there is no column x"),
    ],
    ids=["chained", "without words", "killed", "empty", "long"],
)
def test_the_exception_that_ended_a_program_is_found_in_its_log(tmp_path, log, reason):
    (tmp_path / "log").write_text(log)
    assert reason_in_log(tmp_path / "log") == reason


def test_a_log_that_is_not_there_gives_no_reason(tmp_path):
    assert reason_in_log(tmp_path / "log").startswith("it ended without saying why")


def test_of_a_known_mistake_the_first_sentence_is_told(tmp_path):
    mistakes = {"train/a": ["the loss is nan at step 2. Lower the rate.", "more"]}
    job = failed_job("train", "a", [str(tmp_path / "none")], mistakes)
    assert job.text == f"train/a failed: the loss is nan at step 2. Log: {tmp_path / 'none'}"


def test_a_job_of_the_whole_dataset_has_no_split():
    job = failed_job("import_data", None, [], {"import_data": ["no such file"]})
    assert job.text == "import_data failed: no such file."


def test_a_job_that_is_for_no_split_is_told_by_its_part():
    mistakes = {"predict/next": ["the column x is missing. Add it."]}
    job = failed_job("predict", None, [], mistakes, part="next")
    assert job.text == "predict/next failed: the column x is missing."
    assert job.split is None
    assert mistakes_of_job(job, mistakes) == mistakes["predict/next"]
    assert not mistakes_of_job(failed_job("predict", None, [], mistakes, part="tail"), mistakes)


@pytest.mark.parametrize("job", ["import_data", "describe_files"])
def test_a_mistake_that_the_check_before_a_job_found_is_that_of_the_job(job):
    mistakes = {"check_components": ["there is no model Mpl."]}
    failed = failed_job(job, None, [], mistakes)
    assert failed.text == f"{job} failed: there is no model Mpl."
    assert mistakes_of_job(failed, mistakes) == mistakes["check_components"]
    assert not mistakes_of_job(failed_job("train", "a", [], mistakes), mistakes)


RUN = UnfinishedRun(("a", "b"), (FailedJob("train", "c", "nan", "c.log"),))


def test_every_split_is_either_finished_or_named():
    splits = ["a", "b", "c", "d", "e"]
    assert RUN.not_finished(splits) == ["c", "d", "e"]
    assert RUN.told(splits) == [
        "Partial: 2 of 5 splits are finished. The next run makes the summary anew.",
        "train/c failed: nan. Log: c.log",
        "Not finished when the run ended: d, e.",
    ]


def test_a_run_is_read_as_it_was_written(tmp_path):
    RUN.write(tmp_path / "unfinished.json")
    assert UnfinishedRun.read(tmp_path / "unfinished.json") == RUN


def test_a_file_that_is_no_run_is_refused(tmp_path):
    checked_json.write(tmp_path / "unfinished.json", {"finished": 3})
    with pytest.raises(UserError, match="not what a run with failed jobs leaves"):
        UnfinishedRun.read(tmp_path / "unfinished.json")
