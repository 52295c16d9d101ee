"""Runs programs at the same time that write or read the same files.

Each does its work, or says in a sentence why it does not. Once all have ended, one more run makes
what a run from scratch makes.

Cases, where NUMBER chooses the delays:

``together/PROGRAM/NUMBER``   a program twice at the same time
``question/PROGRAM/NUMBER``   a question, again and again, while all results are made
``action/PROGRAM/NUMBER``     withdraw or restore, while all results are made
``scratch/PROGRAM/NUMBER``    the trainings of two projects, with the same scratch folder
``snakemake/twice/NUMBER``    two runs of Snakemake in the same folder
``snakemake/PROGRAM/NUMBER``  a question or an action during a run of Snakemake
"""

import itertools
import random
import time
from collections.abc import Iterator

from campaigns.campaign import Stream
from campaigns.checks import differing, ended_badly, last_line, left_over, not_told
from campaigns.forked import Child, Ended, run_forked
from campaigns.outcomes import (
    AS_FROM_SCRATCH,
    NOT_MENDED,
    TOLD,
    TRACEBACK,
    Outcome,
    Problem,
    worst,
)
from campaigns.programs import FINISHED, UNWRITTEN, Program
from campaigns.snakemake_runs import kill_session, snakemake, start_snakemake
from campaigns.workshop import Workshop

_ACTIONS = ("withdraw", "restore")


class Concurrency:
    """The campaign.

    Args:
        workshop: where the projects of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop

    def streams(self) -> list[Stream]:
        """Return programs beside each other, and programs beside Snakemake."""
        return [Stream(self._of_programs()), Stream(self._of_runs(), seconds_needed=120)]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        sort, name, _ = case.split("/")
        chance = random.Random(f"{self._workshop.seed}/{case}")
        if sort == "snakemake":
            return self._beside_snakemake(name, chance)
        program = self._workshop.programs[name]
        run = {
            "together": self._together,
            "question": self._beside_chain,
            "action": self._beside_chain,
            "scratch": self._same_scratch,
        }[sort]
        return run(program, chance)

    def _of_programs(self) -> Iterator[str]:
        chance = random.Random(self._workshop.seed)
        programs = self._workshop.programs.values()
        names = {
            "together": [one.name for one in programs],
            "question": [one.name for one in programs if one.finds == FINISHED and not one.writes],
            "action": list(_ACTIONS),
            "scratch": ["train-a", "train-b"],
        }
        for number in itertools.count():
            sort = chance.choice(
                ["together", "together", "together", "question", "action", "scratch"]
            )
            yield f"{sort}/{chance.choice(names[sort])}/{number}"

    def _of_runs(self) -> Iterator[str]:
        chance = random.Random(f"{self._workshop.seed}/runs")
        for number in itertools.count():
            names = ["twice", "twice", "status", "verify", "explain", "log", "page", *_ACTIONS]
            yield f"snakemake/{chance.choice(names)}/{number}"

    def _together(self, program: Program, chance: random.Random) -> Outcome:
        """Run a program twice at the same time."""
        before, finished = self._workshop.before(program), self._workshop.after(program)
        folder = self._workshop.copy(before)
        first = Child(program.command, folder)
        time.sleep(chance.uniform(0, 0.3))
        second = Child(program.command, folder)
        ended = [first.wait(), second.wait()]
        problems = self._of_ends(program, ended)
        if program.writes:
            again = run_forked(program.command, folder)
            ended.append(again)
            problems += ended_badly(again) + differing(folder, finished)
            problems += left_over(folder, finished)
        return worst(problems, _kind(ended), _outputs(ended))

    def _beside_chain(self, program: Program, chance: random.Random) -> Outcome:
        """Run a program again and again while the programs make all results."""
        folder = self._workshop.copy(self._workshop.before(program))
        chain = [one for one in self._workshop.programs.values() if one.finds == UNWRITTEN]
        asked = []
        for one in chain[:-1]:
            child = Child(one.command, folder)
            for _ in range(3):
                time.sleep(chance.uniform(0, 0.2))
                asked.append(run_forked(program.command, folder))
            made = child.wait()
            if made.status != 0:
                kind = ended_badly(made) or [Problem(NOT_MENDED, last_line(made.output))]
                return worst(kind, TOLD, _outputs([*asked, made]))
        problems = self._of_ends(program, asked)
        if program.name not in _ACTIONS:
            problems += differing(folder, self._workshop.finished)
        return worst(problems, _kind(asked), _outputs(asked))

    def _same_scratch(self, program: Program, chance: random.Random) -> Outcome:
        """Run the training of two projects at the same time, with copies in one scratch folder."""
        before, finished = self._workshop.before(program), self._workshop.after(program)
        scratch = self._workshop.fresh_folder("scratch")
        scratch.mkdir()
        folders = [self._workshop.copy(before, name) for name in ("case", "other case")]
        command = (*program.command, "--loading", "{stage: always}")
        children = []
        for folder in folders:
            children.append(Child(command, folder, variables={"TMPDIR": str(scratch)}))
            time.sleep(chance.uniform(0, 0.2))
        ended = [child.wait() for child in children]
        problems = [one for end in ended for one in ended_badly(end)]
        for folder in folders:
            problems += differing(folder, finished) + left_over(folder, finished)
        problems += [Problem(NOT_MENDED, f"{path.name} is left") for path in scratch.iterdir()]
        return worst(problems, AS_FROM_SCRATCH, _outputs(ended))

    def _beside_snakemake(self, name: str, chance: random.Random) -> Outcome:
        """Run Snakemake, and another Snakemake or a program beside it."""
        finished = self._workshop.run_by_snakemake
        folder = self._workshop.copy(finished, "run")
        for path in (folder / "results").rglob("split.json"):
            path.unlink()
        process = start_snakemake(folder)
        time.sleep(chance.uniform(0.5, 8))
        if name == "twice":
            beside = [snakemake(folder).stdout]
        else:
            program = self._workshop.programs[name]
            beside = [run_forked(program.command, folder).output for _ in range(5)]
        output, _ = process.communicate(timeout=300)
        kill_session(process.pid)
        outputs = [output, *beside]
        if name != "twice":
            for pattern in self._workshop.programs[name].writes:
                (folder / pattern).unlink(missing_ok=True)
        again = snakemake(folder)
        outputs.append(again.stdout)
        problems = [Problem(TRACEBACK, last_line(one)) for one in outputs if "Traceback" in one]
        problems += differing(folder, finished) + left_over(folder, finished)
        if again.returncode:
            problems.append(Problem(NOT_MENDED, last_line(again.stdout)))
        return worst(problems, AS_FROM_SCRATCH, "\n---\n".join(outputs))

    def _of_ends(self, program: Program, ended: list[Ended]) -> list[Problem]:
        problems = [one for end in ended for one in ended_badly(end)]
        failed = [end for end in ended if end.status not in ((0,) if program.writes else (0, 1))]
        return problems + [one for end in failed for one in not_told(end)]


def _kind(ended: list[Ended]) -> str:
    return TOLD if any(end.status for end in ended) else AS_FROM_SCRATCH


def _outputs(ended: list[Ended]) -> str:
    return "\n---\n".join(end.output for end in ended)


def campaign(workshop: Workshop) -> Concurrency:
    """Return the campaign."""
    return Concurrency(workshop)
