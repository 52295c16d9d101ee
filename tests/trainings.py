"""Trainings as users run them: train.py in one process, or in several that torchrun starts."""

import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from memtrain.workflow.result_code import own_modules, result_code_digest
from tests.programs import kill_processes_in, quick_python

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "train.py"


def code_of_training(recipe):
    """Return the digest of the code that train.py would train a recipe by now."""
    return result_code_digest(SCRIPT, own_modules(recipe.training.settings), Path.cwd())


class Training:
    """A training in a folder of its own, which can be run, killed, and run again.

    Attributes:
        script: path of train.py, in the repository or in a copy.

    Args:
        folder: folder for the results; the recipe can name modules in it.
        data: path of the record file.
        recipe: recipe of the split.
    """

    def __init__(self, folder, data, recipe):
        self.folder = Path(folder)
        self.data = data
        self.folder.mkdir(parents=True, exist_ok=True)
        self.recipe = recipe
        self.script = SCRIPT
        recipe.write(self.folder / "split.json")

    @property
    def state(self):
        return self.folder / "state"

    def command(self, *arguments, processes=1, python=sys.executable):
        """Return the command line.

        Args:
            arguments: further arguments of train.py.
            processes: number of processes.
            python: the Python that runs train.py, or torchrun.
        """
        launcher = [python]
        if processes > 1:
            launcher += ["-m", "torch.distributed.run", "--standalone"]
            launcher += [f"--nproc-per-node={processes}"]
            launcher += ["--signals-to-handle=SIGTERM,SIGINT,SIGUSR1"]
        results = {"model": "safetensors", "history": "csv", "performance": "json"}
        paths = [
            part
            for name, suffix in results.items()
            for part in (f"--{name}", str(self.folder / f"{name}.{suffix}"))
        ]
        given = ["--data", self.data, "--split", "split.json", "--state", "state", *paths]
        return [*launcher, str(self.script), *given, *arguments]

    def run(self, *arguments, processes=1, status=0, **environment):
        """Run to the end, and return the output.

        Where the tests have one, a Python that starts quickly runs it.

        Args:
            arguments: further arguments of train.py.
            processes: number of processes.
            status: expected exit status; None for any.
            environment: further environment variables.
        """
        done = subprocess.run(
            self.command(*arguments, processes=processes, python=quick_python()),
            cwd=self.folder,
            env=self.environment({"PYTHON_EXEC": quick_python()} | environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert status is None or done.returncode == status, done.stdout
        return done.stdout

    @contextmanager
    def started(self, *arguments, processes=1, **environment):
        """Start the training in a process group of its own, and yield its process.

        Where the tests have a Python that starts quickly, this process passes signals on to the one
        that trains. What still runs at the end is killed.
        """
        process = subprocess.Popen(
            self.command(*arguments, processes=processes, python=quick_python()),
            cwd=self.folder,
            env=self.environment({"PYTHON_EXEC": quick_python()} | environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                self.kill()
            process.communicate()

    def kill(self):
        """Kill all processes of the training, and wait for their ends."""
        kill_processes_in(self.folder)

    def environment(self, variables):
        """Return the environment of a run, with further variables."""
        return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"} | variables

    def checkpoints(self):
        """Return the steps of all checkpoints."""
        return sorted(int(path.stem[5:]) for path in self.state.glob("step-*.json"))

    def progress(self):
        """Return the last content of progress.json; None before it is written."""
        path = self.state / "progress.json"
        return json.loads(path.read_text()) if path.exists() else None

    def is_at(self, step):
        """Return whether the training has reached a step."""
        progress = self.progress()
        return progress is not None and progress["step"] >= step

    def digests(self):
        """Return the digests of what must be the same everywhere: model, history, validations."""
        names = ("model.safetensors", "history.csv", "validation.csv")
        return [hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in names]

    def performance(self):
        return json.loads((self.folder / "performance.json").read_text())


def wait_until(condition, seconds=60, pause=0.0005):
    """Wait until a condition holds, and fail if it does not within some seconds.

    Args:
        condition: function that says whether it holds.
        seconds: longest time to wait.
        pause: seconds from one question to the next.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition did not hold within {seconds} seconds"
        time.sleep(pause)
