"""Kills trainings with everything switched on, again and again, in 1, 2 and 4 processes.

However often a training is killed, and by how many processes it goes on, it makes the bytes of the
one that nobody has disturbed: weights, history, validations, and what its hook writes.

A case is ``TRAINING/N``: the N-th way of killing it. Each run has 1, 2 or 4 processes and is killed
at a random moment: all processes or one of them, by SIGKILL or by SIGTERM.
"""

import itertools
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from functools import cache, cached_property, partial
from pathlib import Path

from campaigns.campaign import Stream
from campaigns.checks import last_line
from campaigns.everything_on import DATA_FILE, STEPS, TRAININGS, write_trainings
from campaigns.forked import Child, Ended, import_what
from campaigns.outcomes import (
    LEFT_OVER,
    NOT_MENDED,
    OTHER_BYTES,
    TRACEBACK,
    Outcome,
    Problem,
    worst,
)
from campaigns.programs import SCRIPTS
from campaigns.workshop import Workshop
from memtrain.training.stopping import STOPPED

_PROCESSES = (1, 2, 4)

#: Runs of a case that are killed, unless the training ends before.
_KILLS = 6

#: Share of the kills that come while a run starts, and the seconds that this takes at most. The
#: others come after a random number of steps, up to a share of all.
_AT_START = 0.3
_SECONDS_OF_START = 1.0
_SHARE_OF_STEPS = 0.3

#: Seconds from a checkpoint to a kill, at most: a few steps.
_SECONDS_OF_STEPS = 0.1

#: Seconds that processes have to leave by themselves, after SIGTERM and after the loss of another.
_SECONDS_TO_STOP = 20.0
_SECONDS_TO_NOTICE = 2.0

_RESULTS = ("model.safetensors", "history.csv", "validation.csv")


class Trainings:
    """The campaign.

    Args:
        workshop: where the folders of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop

    def streams(self) -> list[Stream]:
        """Return the ways of killing each training, in turn."""
        return [Stream(f"{name}/{number}" for number in itertools.count(1) for name in TRAININGS)]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        name, _ = case.split("/")
        expected = self._content(name)
        folder = self._workshop.copy(self._project)
        chance = random.Random(f"{self._workshop.seed}/{case}")
        output, kills = "", 0
        for _ in range(_KILLS):
            run = _Run(folder, name, chance.choice(_PROCESSES))
            ended, is_hit = run.killed(chance)
            output += run.describe(ended)
            kills += is_hit
            if all(one.status == 0 for one in ended):
                break
        else:
            run = _Run(folder, name, chance.choice(_PROCESSES))
            ended = run.to_end()
            output += run.describe(ended)
        problems = [*_badly_ended(ended), *_differing(folder / name, expected)]
        kind = f"killed {kills} times; the same bytes" if kills else "ended before it was killed"
        return worst(problems, kind, output)

    @cached_property
    def _project(self) -> Path:
        """A folder with the recipes of the trainings, and what they need."""
        folder = self._workshop.fresh_folder("trainings")
        folder.mkdir()
        _must_succeed(import_what(partial(write_trainings, folder), folder))
        return folder

    @cache  # noqa: B019 - there is one campaign
    def _content(self, name: str) -> dict[str, bytes]:
        """Return what a training makes that nobody disturbs, in one process."""
        folder = self._workshop.copy(self._project, f"finished {name}")
        _must_succeed(import_what(_Run(folder, name, 1).command, folder))
        return _content(folder / name)


class _Run:
    """One run of a training, in one process or in several.

    Args:
        folder: the working directory.
        name: the name of the training.
        processes: number of processes.
    """

    def __init__(self, folder: Path, name: str, processes: int):
        self._folder = folder
        self._name = name
        self._processes = processes
        (folder / name).mkdir(exist_ok=True)
        files = {"model": "model.safetensors", "history": "history.csv", "state": "state"}
        paths = {key: f"{name}/{file}" for key, file in files.items()}
        paths |= {"data": DATA_FILE, "split": f"{name}.json"}
        paths |= {"performance": f"{name}/performance.json"}
        words = [word for key, path in paths.items() for word in (f"--{key}", path)]
        running = ["--running", "{checkpoint: {steps: 5}}"]
        self.command = (str(SCRIPTS / "train.py"), *words, *running)
        self._said = ""

    def to_end(self) -> list[Ended]:
        """Run to the end, and return how each process has ended."""
        return self._ended(self._start(), _SECONDS_TO_STOP)

    def killed(self, chance: random.Random) -> tuple[list[Ended], bool]:
        """Run, and kill at a random moment.

        Args:
            chance: chooses moment, signal and process.

        Returns:
            How each process has ended, and whether the kill came before that.
        """
        children = self._start()
        number = chance.choice((signal.SIGKILL, signal.SIGTERM))
        victims = chance.choice((children, [chance.choice(children)]))
        when = self._await_moment(children, chance)
        self._said = f", {number.name} to {len(victims)} {when}"
        for child in victims:
            child.kill(number)
        is_term = number == signal.SIGTERM
        ended = self._ended(children, _SECONDS_TO_STOP if is_term else _SECONDS_TO_NOTICE)
        return ended, any(one.status == STOPPED or one.signal for one in ended)

    def _await_moment(self, children: list[Child], chance: random.Random) -> str:
        """Wait for a random moment, or for the end; return which moment it is."""
        seconds, target = chance.uniform(0, _SECONDS_OF_START), None
        if chance.random() >= _AT_START:
            seconds = chance.uniform(0, _SECONDS_OF_STEPS)
            target = self._newest_step() + chance.randint(1, int(_SHARE_OF_STEPS * STEPS))
            while self._newest_step() < target and any(_is_running(one.pid) for one in children):
                time.sleep(0.003)
        time.sleep(seconds)
        return f"{seconds:.3f} seconds after {f'step {target}' if target else 'the start'}"

    def _newest_step(self) -> int:
        """Return the step of the newest checkpoint; 0 where there is none."""
        state = self._folder / self._name / "state"
        return max((int(path.stem[5:]) for path in state.glob("step-*.json")), default=0)

    def describe(self, ended: list[Ended]) -> str:
        """Return what the processes have printed, each with how it has ended."""
        lines = [f"--- {self._processes} processes{self._said}"]
        for one in ended:
            lines += [f"status {one.status}, signal {one.signal}:", one.output]
        return "\n".join(lines) + "\n"

    def _start(self) -> list[Child]:
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        size = {"WORLD_SIZE": str(self._processes), "LOCAL_WORLD_SIZE": str(self._processes)}
        return [
            Child(
                self.command,
                self._folder,
                variables=shared | size | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(self._processes)
        ]

    def _ended(self, children: list[Child], patience: float) -> list[Ended]:
        """Return how the processes have ended.

        As torchrun does, kill those that stay when another one has failed.

        Args:
            children: the processes.
            patience: seconds that the others have after the first one has failed.
        """
        first_failed = None
        while any(_is_running(child.pid) for child in children):
            time.sleep(0.01)
            if first_failed is None and any(_has_failed(child.pid) for child in children):
                first_failed = time.monotonic()
            if first_failed is not None and time.monotonic() - first_failed > patience:
                for child in children:
                    child.kill()
                break
        return [child.wait(60) for child in children]


def _is_running(pid: int) -> bool:
    """Return whether a child has not ended; it is not waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _has_failed(pid: int) -> bool:
    """Return whether a child has ended in another way than with the status 0."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None and (found.si_code != os.CLD_EXITED or found.si_status != 0)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all that a training writes and promises, and what its hook writes."""
    paths = [*(folder / name for name in _RESULTS), *sorted((folder / "hooks").glob("*"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.exists()}


def _differing(folder: Path, expected: dict[str, bytes]) -> Iterator[Problem]:
    """Yield the files that are not those of the training that nobody has disturbed."""
    found = _content(folder)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            how = "has other bytes" if name in found else "is gone"
            yield Problem(OTHER_BYTES, f"{name} {how}")
    others = {"performance.json", *expected}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and str(path.relative_to(folder)) not in others:
            yield Problem(LEFT_OVER, path.suffix or path.name)


def _badly_ended(ended: list[Ended]) -> Iterator[Problem]:
    """Yield what is wrong with the last run of a training."""
    for one in ended:
        if "Traceback" in one.output:
            yield Problem(TRACEBACK, last_line(one.output))
        if one.status != 0:
            yield Problem(NOT_MENDED, last_line(one.output) or f"signal {one.signal}")


def _must_succeed(*ended: Ended) -> None:
    for one in ended:
        if one.status != 0:
            raise RuntimeError(f"a training fails without any fault:\n{one.output}")


def campaign(workshop: Workshop) -> Trainings:
    """Return the campaign."""
    return Trainings(workshop)
