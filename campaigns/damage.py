"""Damages files, and runs the programs that read them; and Snakemake, which makes them right.

A program tells what is wrong, in a sentence that names a file, or its results are right in spite of
the damage. Rows of the user and the configuration may hold anything: with those, a program only has
to tell or to work. Whatever is damaged below ``results/``, Snakemake makes it right.

A case is ``PROGRAM/DAMAGE/NUMBER/FILE``, where the number tells cases of chance apart; the program
"snakemake" is the workflow.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from campaigns.campaign import Stream
from campaigns.checks import (
    differing,
    ended_badly,
    files_of,
    last_line,
    left_over,
    not_told,
    path_of,
    reproducible_bytes,
    stable_name,
    torn,
)
from campaigns.damages import DAMAGES, damage
from campaigns.forked import drop_privileges, run_forked
from campaigns.outcomes import (
    ANSWERED,
    AS_FROM_SCRATCH,
    HANG,
    NOT_MENDED,
    REFUSED,
    SILENT,
    TRACEBACK,
    Outcome,
    Problem,
    worst,
)
from campaigns.programs import Program
from campaigns.sample_project import RESULTS
from campaigns.snakemake_runs import HUNG, snakemake
from campaigns.workshop import Workshop

#: Damages that put something else in the place of a file, which is for the user to clear.
_PLACES = ("pipe", "device", "link-to-itself", "folder")


class Damages:
    """The campaign.

    Args:
        workshop: where the projects of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop

    def streams(self) -> list[Stream]:
        """Return damages that programs meet, and damages that Snakemake meets."""
        return [Stream(self._of_programs()), Stream(self._of_runs(), seconds_needed=120)]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        name, kind, _, file = case.split("/", 3)
        chance = random.Random(f"{self._workshop.seed}/{case}")
        if name == "snakemake":
            return self._run_of_snakemake(kind, file, chance)
        return self._run_of_program(self._workshop.programs[name], kind, file, chance)

    def _of_programs(self) -> Iterator[str]:
        chance = random.Random(self._workshop.seed)
        programs = list(self._workshop.programs.values())
        for number in itertools.count():
            program = chance.choice(programs)
            files = self._files_read(program)
            if files:
                kind = chance.choice(list(DAMAGES))
                yield f"{program.name}/{kind}/{number}/{chance.choice(files)}"

    def _of_runs(self) -> Iterator[str]:
        chance = random.Random(f"{self._workshop.seed}/runs")
        root = self._workshop.run_by_snakemake
        files = [name for name in files_of(root) if name.startswith("results/")]
        files = [stable_name(root, name) for name in files if "/logs/" not in name]
        for number in itertools.count():
            kind = chance.choice(list(DAMAGES))
            yield f"snakemake/{kind}/{number}/{chance.choice(files)}"

    def _files_read(self, program: Program) -> list[str]:
        """Return the files of the project that a program opens and has not made itself."""
        before, root = self._workshop.before(program), f"{self._workshop.folder}/case/"
        opened = {
            file.removeprefix(root)
            for kind, file in self._workshop.calls(program).log
            if kind.startswith("open-to-")
        }
        files = [name for name in opened if (before / name).is_file()]
        return sorted(stable_name(before, name) for name in files if not name.endswith(".py"))

    def _run_of_program(
        self, program: Program, kind: str, file: str, chance: random.Random
    ) -> Outcome:
        before = self._workshop.before(program)
        folder, file = self._workshop.copy(before), path_of(before, file)
        damage(folder / file, kind, chance)
        damaged = self._workshop.copy(folder, "damaged") if _can_be_copied(kind) else folder
        ended = run_forked(program.command, folder, before=drop_privileges)
        problems = ended_badly(ended)
        finished = self._workshop.after(program)
        if kind == "unreadable" and (folder / file).exists():
            (folder / file).chmod(0o644)
        # What stands in a file of the user's may be meant, and then the results are others.
        is_meant = file.startswith("data/") or file == str(RESULTS.configuration)
        if ended.status != 0 or not is_meant:
            problems += torn_elsewhere(folder, before, finished, file)
        problems += left_over(folder, before, finished)
        if not program.writes:
            problems += not_told(ended) if ended.status == 2 else []
            return worst(problems, ANSWERED, ended.output)
        if ended.status != 0:
            return worst(problems + not_told(ended), REFUSED, ended.output)
        if not is_meant:
            problems += _silent(folder, finished, damaged, file)
        return worst(problems, AS_FROM_SCRATCH, ended.output)

    def _run_of_snakemake(self, kind: str, file: str, chance: random.Random) -> Outcome:
        finished = self._workshop.run_by_snakemake
        folder, file = self._workshop.copy(finished, "run"), path_of(finished, file)
        damage(folder / file, kind, chance)
        done = snakemake(folder, seconds=120)
        if done.returncode == 1 and kind in _PLACES and Path(file).name in done.stdout:
            told = (
                [Problem(TRACEBACK, last_line(done.stdout))] if "Traceback" in done.stdout else []
            )
            return worst(told, REFUSED, done.stdout)
        problems = [
            Problem(SILENT if done.returncode == 0 else one.kind, one.detail)
            for one in differing(folder, finished) + left_over(folder, finished)
        ]
        if done.returncode == HUNG:
            problems.append(Problem(HANG, last_line(done.stdout)))
        if "Traceback" in done.stdout:
            problems.append(Problem(TRACEBACK, last_line(done.stdout)))
        if done.returncode:
            problems.append(Problem(NOT_MENDED, _first_error(done.stdout)))
        return worst(problems, AS_FROM_SCRATCH, done.stdout)


def torn_elsewhere(project: Path, before: Path, finished: Path, damaged: str) -> list[Problem]:
    """Return the torn files other than the damaged one."""
    return [
        one for one in torn(project, before, finished) if not one.detail.startswith(f"{damaged}:")
    ]


def _silent(folder: Path, finished: Path, damaged: Path, file: str) -> list[Problem]:
    """Return the results that differ, though the program had nothing to say."""
    still_damaged = reproducible_bytes(damaged).get(file)
    return [
        Problem(SILENT, one.detail)
        for one in differing(folder, finished)
        if not (
            one.detail.startswith(file) and reproducible_bytes(folder).get(file) == still_damaged
        )
    ]


def _can_be_copied(kind: str) -> bool:
    return kind not in ("pipe", "device", "unreadable", "link-to-nowhere", "link-to-itself")


def _first_error(output: str) -> str:
    lines = [line for line in output.splitlines() if "rror" in line]
    return lines[0].strip()[:300] if lines else last_line(output)


def campaign(workshop: Workshop) -> Damages:
    """Return the campaign."""
    return Damages(workshop)
