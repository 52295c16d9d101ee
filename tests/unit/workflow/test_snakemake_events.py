"""What a handler of Snakemake's log learns, from runs of Snakemake."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.programs import quick_python

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"

SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from memtrain.workflow.snakemake_events import SnakemakeEvents
from snakemake.logging import logger

def write(line):
    with open("events", "a") as file:
        print(line, file=file)

if workflow.is_main_process:
    logger.addHandler(
        SnakemakeEvents(
            on_start=lambda: write("start"),
            on_job=lambda job: write(
                f"{{job.rule}} {{job.split}} {{job.part}} {{' '.join(job.outputs)}}"
            ),
            on_end=lambda state, failures: write(
                " ".join([state, *(f"{{one.start.rule}}:{{one.logs[0]}}" for one in failures)])
            ),
        )
    )

rule quick:
    output: "quick"
    shell: "touch {{output}}"

rule slow:
    output: "slow/{{split}}"
    shell: "touch started && sleep 1 && touch {{output}}"

rule other:
    output: "other/{{prediction}}"
    shell: "touch {{output}}"

rule bad:
    output: "bad"
    log: "bad.log"
    shell: "exit 1"

rule after_bad:
    input: "bad"
    output: "after_bad"
    log: "after_bad.log"
    shell: "touch {{output}}"

rule second_try:
    output: "second_try"
    shell: "test -e tried || (touch tried && exit 1) && touch {{output}}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def snakemake(folder, *arguments):
    """Start Snakemake."""
    command = [quick_python(), "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def events(process, folder):
    """Return what was told, after Snakemake has ended."""
    output, _ = process.communicate(timeout=120)
    assert (folder / "events").exists(), output
    return (folder / "events").read_text().splitlines()


def test_a_run_starts_and_has_jobs_and_ends(folder):
    told = events(snakemake(folder, "quick", "slow/a", "other/b"), folder)
    assert told[0] == "start"
    assert sorted(told[1:-1]) == [
        "other None b other/b",
        "quick None None quick",
        "slow a a slow/a",
    ]
    assert told[-1] == "completed"


def test_a_job_that_fails_while_others_finish_later_fails_the_run(folder):
    told = events(snakemake(folder, "--keep-going", "bad", "slow/a"), folder)
    assert (folder / "slow/a").exists()
    assert told[-1] == "failed bad:bad.log"


def test_a_run_is_complete_if_the_last_try_of_every_job_is(folder):
    told = events(snakemake(folder, "--retries", "1", "second_try"), folder)
    assert told[-1] == "completed"


def test_a_run_that_is_asked_to_stop_has_failed(folder):
    process = snakemake(folder, "--cores", "1", "slow/a", "slow/b")
    while not (folder / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert events(process, folder)[-1] == "failed"


def test_nothing_is_told_of_a_run_that_has_nothing_to_do(folder):
    snakemake(folder, "quick").communicate()
    (folder / "events").unlink()
    snakemake(folder, "quick").communicate()
    assert not (folder / "events").exists()


def test_of_the_jobs_of_a_group_the_one_has_failed_that_fails(folder):
    """Snakemake counts the finished one as failed, too, and the one that could not begin."""
    groups = [f"{rule}=all" for rule in ("quick", "bad", "after_bad")]
    submit = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "bash"]
    options = ["--jobs", "1", "--keep-incomplete", "--group-components", "all=2", "--groups"]
    process = snakemake(folder, "quick", "after_bad", *submit, *options, *groups)
    assert events(process, folder)[-1] == "failed bad:bad.log"
    assert (folder / "quick").exists()
