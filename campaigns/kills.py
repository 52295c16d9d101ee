"""Kills programs at every call that changes a file, and at random times; whole runs, too.

After a kill no promised file is torn. The next run makes what a run from scratch makes, and leaves
nothing behind.

A case is ``PROGRAM/KIND/N``: killed at its n-th call of a kind; or ``PROGRAM/after/SECONDS``. The
program "snakemake" is a whole run, all of whose processes are killed.
"""

import itertools
import random
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from campaigns.campaign import Stream
from campaigns.checks import differing, ended_badly, last_line, left_over, torn
from campaigns.forked import Child, run_forked
from campaigns.interposer import (
    CHANGING,
    PLAN_VARIABLE,
    Fault,
    is_loaded,
    read_calls,
    write_plan,
)
from campaigns.outcomes import KILLED, NOT_MENDED, NOT_REACHED, TRACEBACK, Outcome, Problem, worst
from campaigns.programs import STOPPED, UNWRITTEN, Program
from campaigns.sample_project import write_project
from campaigns.snakemake_runs import kill_session, snakemake, start_snakemake
from campaigns.workshop import Workshop

#: A whole run takes this long at most, and changes files so often at least.
_SECONDS_OF_RUN = 25.0
_CALLS_OF_RUN = 1500


class Kills:
    """The campaign.

    Args:
        workshop: where the projects of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop

    def streams(self) -> list[Stream]:
        """Return kills at calls, kills at random times, and kills of whole runs."""
        return [
            Stream(self._at_calls()),
            Stream(self._at_times(), seconds_needed=20),
            Stream(self._of_runs(), seconds_needed=120),
        ]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        name, kind, at = case.split("/")
        if name == "snakemake":
            return self._run_of_snakemake(kind, at)
        return self._run_of_program(self._workshop.programs[name], kind, at)

    def _at_calls(self) -> Iterator[str]:
        return chosen_calls(self._workshop, self._writing(), CHANGING)

    def _at_times(self) -> Iterator[str]:
        chance = random.Random(f"{self._workshop.seed}/times")
        while True:
            program = chance.choice(self._writing())
            yield f"{program.name}/after/{chance.uniform(0.0, 0.3):.4f}"

    def _of_runs(self) -> Iterator[str]:
        chance = random.Random(f"{self._workshop.seed}/runs")
        for number in itertools.count():
            if number % 2 or not is_loaded():
                yield f"snakemake/after/{chance.uniform(0.5, _SECONDS_OF_RUN):.3f}"
            else:
                yield f"snakemake/call/{chance.randint(1, _CALLS_OF_RUN)}"

    def _writing(self) -> list[Program]:
        return [program for program in self._workshop.programs.values() if program.writes]

    def _run_of_program(self, program: Program, kind: str, at: str) -> Outcome:
        before = self._workshop.before(program)
        folder, plan = self._workshop.copy(before), self._workshop.folder / "plan"
        if kind == "after":
            child = Child(program.command, folder)
            time.sleep(float(at))
            child.kill()
            killed = child.wait()
            is_hit = killed.signal is not None
        else:
            write_plan(plan, folder, Fault("kill-process", kinds=(kind,), at=int(at)))
            killed = run_forked(program.command, folder, plan=plan)
            is_hit = read_calls(plan).is_hit
        finished = self._workshop.after(program)
        problems = torn(folder, before, finished)
        again = run_forked(program.command, folder)
        if is_already_done(program, again.output):
            # It had nothing to write; whoever writes there next removes what is left.
            run_forked(self._workshop.programs["index_shards"].command, folder)
        elif again.status:
            problems.append(Problem(NOT_MENDED, last_line(again.output)))
        problems += ended_badly(again) + differing(folder, finished) + left_over(folder, finished)
        output = f"{killed.output}\n--- the next run:\n{again.output}"
        return worst(problems, KILLED if is_hit else NOT_REACHED, output)

    def _run_of_snakemake(self, kind: str, at: str) -> Outcome:
        finished = self._workshop.run_by_snakemake
        folder = self._workshop.fresh_folder("run")
        write_project(folder)
        before = self._workshop.copy(folder, "run before")
        killed, is_hit = self._killed_run(folder, kind, at)
        problems = torn(folder, before, finished)
        again = snakemake_after_kill(folder)
        problems += differing(folder, finished) + left_over(folder, finished)
        if "Traceback" in again.stdout:
            problems.append(Problem(TRACEBACK, last_line(again.stdout)))
        if again.returncode:
            problems.append(Problem(NOT_MENDED, last_line(again.stdout)))
        output = f"{killed}\n--- the next run:\n{again.stdout}"
        return worst(problems, KILLED if is_hit else NOT_REACHED, output)

    def _killed_run(self, folder: Path, kind: str, at: str) -> tuple[str, bool]:
        """Run Snakemake and kill it; return what it printed, and whether it was killed."""
        plan, variables = self._workshop.folder / "plan", {}
        if kind == "call":
            write_plan(plan, folder, Fault("kill-group", kinds=CHANGING, at=int(at)))
            variables = {PLAN_VARIABLE: str(plan)}
        process = start_snakemake(folder, variables=variables)
        try:
            output, _ = process.communicate(timeout=float(at) if kind == "after" else 120)
        except subprocess.TimeoutExpired:
            kill_session(process.pid)
            output, _ = process.communicate()
            return output, True
        kill_session(process.pid)
        return output, process.returncode < 0


def chosen_calls(
    workshop: Workshop, programs: list[Program], kinds: Sequence[str]
) -> Iterator[str]:
    """Yield calls of programs as "<program>/<kind>/<number>", each once, in a random order.

    The calls of a program are counted when it is first chosen.
    """
    chance = random.Random(workshop.seed)
    left: dict[str, dict[str, list[int]]] = {}
    programs = list(programs)
    while programs:
        program = chance.choice(programs)
        if program.name not in left:
            counts = workshop.calls(program).by_kind
            numbers = {kind: range(1, counts[kind] + 1) for kind in kinds if counts[kind]}
            left[program.name] = {kind: chance.sample(n, len(n)) for kind, n in numbers.items()}
        if not (of_program := left[program.name]):
            programs.remove(program)
            continue
        # Most goes wrong while a file is written, so that every third call is one that writes.
        is_write = "write" in of_program and chance.random() < 1 / 3
        kind = "write" if is_write else chance.choice(list(of_program))
        yield f"{program.name}/{kind}/{of_program[kind].pop()}"
        if not of_program[kind]:
            del of_program[kind]


def snakemake_after_kill(folder: Path) -> subprocess.CompletedProcess:
    """Run Snakemake after a kill; where it asks for it, unlock the folder first."""
    done = snakemake(folder)
    if done.returncode and "--unlock" in done.stdout:
        snakemake(folder, "--unlock")
        again = snakemake(folder)
        again.stdout = f"{done.stdout}\n--- after --unlock:\n{again.stdout}"
        return again
    return done


def is_already_done(program: Program, output: str) -> bool:
    """Return whether an action says that it was done before, and the kill came after it."""
    return program.finds not in (UNWRITTEN, STOPPED) and bool(
        re.search(r"withdrawn already|no withdrawal of .* is meant", output)
    )


def campaign(workshop: Workshop) -> Kills:
    """Return the campaign."""
    return Kills(workshop)
