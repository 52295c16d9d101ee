"""The time to plan grows with the number of splits, and not with its square."""

import subprocess

import yaml

from tests.workflow.conftest import CONFIGURATION, environment, make_project

#: Runs Snakemake; counts its looks at the recipes of all splits, and the jobs made a second time.
COUNTING = """
import sys
from snakemake.checkpoints import Checkpoint
from snakemake.cli import main
from snakemake.jobs import Job
looked, get = [], Checkpoint.get
Checkpoint.get = lambda *given, **named: looked.append(1) or get(*given, **named)
again, updated = [], Job.updated
Job.updated = lambda job: again.append(1) or updated(job)
try:
    main(sys.argv[1:])
finally:
    print("counted:", len(looked), len(again))
"""

#: Runs Snakemake; counts the objects that Python looks through for garbage when it ends.
COUNTING_OBJECTS = """
import atexit, gc, sys
from snakemake.cli import main
atexit.register(lambda: print("counted:", len(gc.get_objects())))
main(sys.argv[1:])
"""


def dry_run(project, program, warm=True):
    """Return what a program that counts says of a dry run: its output and its numbers.

    The objects of a Python that starts quickly are others than those of Snakemake.
    """
    path = project.folder.parent / "counting.py"
    path.write_text(program)
    done = subprocess.run(
        ["python", path, "--cores", "2", "-n"],
        cwd=project.folder,
        env=environment(warm=warm),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr, tuple(map(int, done.stdout.rpartition("counted:")[2].split()))


def counts(project):
    """Return the looks and the jobs that COUNTING counts in a dry run."""
    told, numbers = dry_run(project, COUNTING)
    assert "train s11: " in told
    return numbers


def test_the_recipes_of_all_splits_are_looked_at_a_few_times_however_many_there_are(
    tmp_path, repository
):
    splits = {f"s{n}": {"train": [n, n + 50], "evaluate": [900, 1000]} for n in range(12)}
    configuration = yaml.safe_load(yaml.safe_dump(CONFIGURATION))
    configuration["dataset"]["mock"] = {"rows": 1000, "features": 3}
    configuration["splits"] = splits
    project = make_project(tmp_path / "x", repository, configuration)
    project.snakemake("--until", "resolve_splits")
    # Recipes that stand are waited for by nobody.
    assert counts(project) == (0, 0)

    def train_longer(content):
        content["training"]["epochs"] = 2

    project.configure(train_longer)
    looks, _ = counts(project)
    assert 0 < looks < 6


def test_no_garbage_is_looked_for_when_snakemake_ends(new_project):
    _, (objects,) = dry_run(new_project(), COUNTING_OBJECTS, warm=False)
    assert objects < 1000
