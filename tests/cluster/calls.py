"""Calls of Snakemake that run in the background, while a test watches and interferes."""

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

#: Options with which Snakemake checks its jobs sooner than on a cluster of many users.
QUICKLY = ("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10")


class Call:
    """A call of Snakemake that runs in the background.

    Args:
        project: project in which Snakemake runs.
        arguments: arguments of Snakemake.
        first_in_path: folder whose programs are found before all others; None for no such folder.
    """

    def __init__(self, project: Project, *arguments: str, first_in_path: Path | None = None):
        self.project = project
        self._output = project / "snakemake.txt"
        # Slurm counts and limits what the real programs use.
        variables = environment(warm=False)
        if first_in_path:
            variables["PATH"] = f"{first_in_path}{os.pathsep}{variables['PATH']}"
        with open(self._output, "w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *arguments],
                cwd=project.folder,
                env=variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self, status=0, seconds=900) -> Run:
        """Wait until Snakemake ends, and return its run.

        Args:
            status: exit status that Snakemake must have.
            seconds: longest time to wait.
        """
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            pytest.fail(
                f"Snakemake did not end within {seconds} seconds:\n{self._output.read_text()}"
            )
        output = self._output.read_text()
        assert self._process.returncode == status, output
        return Run(self._process.returncode, output)

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def step_of(self, split):
        """Return the last step that a training has reported; 0 before its first report."""
        path = self.project / "results/small/state" / split / "progress.json"
        try:
            return json.loads(path.read_text())["step"]
        except FileNotFoundError:
            return 0

    def log_of(self, split):
        """Return the log of a training's current try; empty while there is none."""
        path = self.project / "results/small/logs/train" / f"{split}.log"
        try:
            return path.read_text()
        except FileNotFoundError:
            return ""

    def wait_until(self, condition, seconds=500):
        """Wait until a condition holds, and fail if Snakemake ends before."""

        def holds_or_ended():
            return condition() or self._process.poll() is not None

        # A condition asks Slurm, by several processes.
        wait_until(holds_or_ended, seconds, pause=0.3)
        assert condition(), self._output.read_text()


#: An sbatch that writes its arguments to a file, and then becomes the real one.
SBATCH = """#!/bin/sh
printf '%s\\0' "$@" >> "$RECORDED"
printf '\\n' >> "$RECORDED"
exec {sbatch} "$@"
"""


class Recorder:
    """Records the command lines of sbatch, by a script of that name.

    Args:
        folder: folder for the script, in its subfolder bin, and for the recorded lines.
        sbatch: path of the program that the script then runs.

    Attributes:
        folder: folder of the script, which has to come first in PATH.
    """

    def __init__(self, folder: Path, sbatch: str):
        self.folder = folder / "bin"
        self.folder.mkdir(parents=True)
        self._lines = folder / "lines"
        script = self.folder / "sbatch"
        script.write_text(SBATCH.replace("$RECORDED", str(self._lines)).format(sbatch=sbatch))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def options(self, comment):
        """Return the options of the first job with a comment; None if there was none.

        The result leaves out the options that differ by run or folder, the numbers of minutes and
        MB, which the rules decide, and the wrapped command, which Snakemake decides.
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
    """Return the arguments that request the models of splits."""
    return [f"results/small/splits/{name}/model.safetensors" for name in splits]
