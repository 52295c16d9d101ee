"""The time to plan grows with the number of splits, and not with its square."""

import os
import subprocess
import sys

import yaml

from tests.workflow.conftest import CONFIGURATION, environment, make_project

#: Runs Snakemake and counts its looks at the recipes of all splits.
COUNTING = """
import sys
from snakemake.checkpoints import Checkpoint
from snakemake.cli import main
looked, get = [], Checkpoint.get
Checkpoint.get = lambda *given, **named: looked.append(1) or get(*given, **named)
try:
    main(sys.argv[1:])
finally:
    print("looked:", len(looked))
"""


def test_the_recipes_of_all_splits_are_looked_at_a_few_times_however_many_there_are(
    tmp_path, repository
):
    splits = {f"s{n}": {"train": [n, n + 50], "evaluate": [900, 1000]} for n in range(12)}
    configuration = yaml.safe_load(yaml.safe_dump(CONFIGURATION))
    configuration["dataset"]["mock"] = {"rows": 1000, "features": 3}
    configuration["splits"] = splits
    project = make_project(tmp_path / "x", repository, configuration)
    project.snakemake("--until", "resolve_splits")
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, "--cores", "2", "-n"],
        cwd=project.folder,
        env=environment(os.path.dirname(sys.executable), warm=False),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train s11: model.safetensors is missing" in done.stderr
    assert int(done.stdout.rpartition("looked:")[2]) < 6
