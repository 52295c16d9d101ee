"""Profiles of other sites and the container, as far as they can be tested without the site."""

import os
import re
import subprocess
from collections import Counter

import pytest

#: Profiles whose plugins accept a dry run on a machine without the scheduler.
SITES = ["sge", "lsf"]


def write_program(folder, name, text):
    """Write a shell program into a folder."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def resources_of(output, rule):
    """Return the resources of a rule's job, as a dry run prints them."""
    block = re.search(rf"^rule {rule}:\n((?:    .*\n)*)", output, re.MULTILINE)[1]
    return re.search(r"^    resources: (.*)$", block, re.MULTILINE)[1]


@pytest.mark.parametrize("site", SITES)
def test_a_profile_plans_the_whole_workflow(new_project, site):
    run = new_project().snakemake("-n", "--printshellcmds", "--profile", f"profiles/{site}")
    assert Counter(job.split()[0] for job in run.jobs) == {
        **dict.fromkeys(("generate_data", "index_shards", "resolve_splits", "summarize"), 1),
        **dict.fromkeys(("train", "evaluate", "draw"), 3),
    }
    training = resources_of(run.output, "train")
    assert re.search(r"mem_mb=\d{4}", training)
    assert "runtime=" in training


@pytest.mark.parametrize(
    ("qstat", "qacct", "status"),
    [
        ("exit 0", "exit 1", "running"),
        ("exit 1", "exit 1", "running"),  # not in the accounts yet
        ("exit 1", "echo 'failed 0'; echo 'exit_status 0'", "success"),
        ("exit 1", "echo 'failed 0'; echo 'exit_status 75'", "failed"),
        ("exit 1", "echo 'failed 100 : assumedly after job'; echo 'exit_status 0'", "failed"),
    ],
)
def test_the_status_of_a_job_of_grid_engine(tmp_path, repository, qstat, qacct, status):
    write_program(tmp_path, "qstat", qstat)
    write_program(tmp_path, "qacct", qacct)
    assert status_of_job(repository / "profiles/sge/status.sh", tmp_path) == status


def status_of_job(script, folder):
    """Return what a script prints of a job's status, with the programs of a folder."""
    done = subprocess.run(
        [script, "17"],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.removesuffix("\n")


def test_rules_run_in_the_image_only_if_apptainer_is_requested(new_project, tmp_path):
    """A shell program takes the place of Apptainer, and runs commands outside of any image."""
    calls = tmp_path / "calls"
    write_program(
        tmp_path,
        "apptainer",
        'test "$1" = --version && echo "apptainer version 1.4.0" && exit\n'
        f'echo "$@" >> {calls}\n'
        'while test "${1##*/}" != bash; do shift; done\n'
        'exec "$@"',
    )
    project = new_project()
    target = "results/small/manifest.json"
    project.snakemake(target, path=tmp_path)
    assert not calls.exists()
    project.snakemake(
        target, "--forceall", "--software-deployment-method", "apptainer", path=tmp_path
    )
    text = calls.read_text()
    assert "envs/memtrain.sif" in text
    assert {"generate_data.py", "index_shards.py"} <= set(re.findall(r"\w+\.py", text))
