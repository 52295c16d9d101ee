"""Calls of Snakemake that run while a test watches, and interferes."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainings import wait_until
from tests.workflow.conftest import Project, Run, environment

#: Jobs are looked after sooner than on a cluster of many users; nothing else is changed.
QUICKLY = ("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10")


class Call:
    """A call of Snakemake that runs beside the test.

    Args:
        project: that it is called in.
        arguments: of Snakemake.
        first_in_path: a folder whose programs come before all others.
    """

    def __init__(self, project: Project, *arguments: str, first_in_path: Path | None = None):
        self.project = project
        self._output = project / "snakemake.txt"
        around = environment()
        if first_in_path:
            around["PATH"] = f"{first_in_path}{os.pathsep}{around['PATH']}"
        with open(self._output, "w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *arguments],
                cwd=project.folder,
                env=around,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, status=0, seconds=500) -> Run:
        """Wait for its end, and return it."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            pytest.fail(f"Snakemake does not end:\n{self._output.read_text()}")
        output = self._output.read_text()
        assert self._process.returncode == status, output
        return Run(self._process.returncode, output)

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def step_of(self, split):
        """Return the step that a training has come to; 0 before it has said so."""
        path = self.project / "results/small/state" / split / "progress.json"
        try:
            return json.loads(path.read_text())["step"]
        except FileNotFoundError:
            return 0

    def log_of(self, split):
        """Return what a training has printed; nothing while there is no log of this try."""
        path = self.project / "results/small/logs/train" / f"{split}.log"
        try:
            return path.read_text()
        except FileNotFoundError:
            return ""

    def wait_until(self, condition, seconds=200):
        """Wait until something is the case, as long as Snakemake runs."""

        def is_so_or_ended():
            return condition() or self._process.poll() is not None

        wait_until(is_so_or_ended, seconds)
        assert condition(), self._output.read_text()


#: Stands before the real one, and writes down what it was called with.
SBATCH = """#!/bin/sh
printf '%s\\0' "$@" >> "$RECORDED"
printf '\\n' >> "$RECORDED"
exec {sbatch} "$@"
"""


class Recorder:
    """A folder with an sbatch that writes its command lines down.

    Args:
        folder: to lie in, with the file of the lines.
        sbatch: that is called afterwards.
    """

    def __init__(self, folder: Path, sbatch: str):
        self.folder = folder / "bin"
        self.folder.mkdir(parents=True)
        self._lines = folder / "lines"
        script = self.folder / "sbatch"
        script.write_text(SBATCH.replace("$RECORDED", str(self._lines)).format(sbatch=sbatch))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def options(self, comment):
        """Return the options of the job with a comment; None where there was none.

        Left out are what differs by run or folder, the numbers of minutes and MB, which are the
        rules', and the wrapped command, which is Snakemake's.
        """
        for line in self._lines.read_text().split("\0\n"):
            words = line.split("\0")
            if comment in words:
                kept = [word for word in words if not word.startswith("--wrap")]
                for name in ("--job-name", "--output", "--comment", "-D"):
                    place = kept.index(name)
                    del kept[place : place + 2]
                return re.sub(r"(-t|--mem) \d+", r"\1 _", shlex.join(kept))
        return None


def profiles(*names):
    """Return the arguments that choose profiles."""
    return [word for name in names for word in ("--profile", f"profiles/{name}")]


def models(*splits):
    """Return the arguments that ask for the models of splits."""
    return [f"results/small/splits/{name}/model.safetensors" for name in splits]
