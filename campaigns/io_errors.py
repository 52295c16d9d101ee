"""Lets the n-th call of a program on a file fail, as a full or broken disk does.

The program says so in one sentence that names a file, and ends with an exit status other than 0; or
it goes on without what it could not write, and its results are right. No promised file is torn, and
the next run makes what a run from scratch makes.

A case is ``PROGRAM/KIND/N/ERROR``: the n-th call of a kind fails with an error, and so do later
calls where the error is one that lasts.
"""

import errno
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from campaigns.campaign import Stream
from campaigns.checks import differing, ended_badly, last_line, left_over, not_told, torn
from campaigns.forked import Ended, run_forked
from campaigns.interposer import CHANGING, Fault, read_calls, write_plan
from campaigns.kills import chosen_calls, is_already_done
from campaigns.outcomes import (
    ANSWERED,
    AS_FROM_SCRATCH,
    NOT_MENDED,
    NOT_REACHED,
    TOLD,
    Outcome,
    Problem,
    worst,
)
from campaigns.programs import Program
from campaigns.sample_project import RESULTS
from campaigns.workshop import Workshop

_NEW_BYTES = ("open-to-write", "write", "make-folder", "resize")
_NAMES = ("open-to-write", "make-folder", "rename", "remove", "change-mode", "link")


@dataclass(frozen=True)
class _Error:
    """An error, the kinds of calls that it meets, and those that it meets again and again."""

    kinds: tuple[str, ...]
    later_kinds: tuple[str, ...] = ()


_ERRORS = {
    "ENOSPC": _Error((*_NEW_BYTES, "sync", "rename"), _NEW_BYTES),
    "EDQUOT": _Error((*_NEW_BYTES, "sync"), _NEW_BYTES),
    "EIO": _Error(("open-to-read", "read", *CHANGING)),
    "EROFS": _Error(_NAMES, _NAMES),
    "EACCES": _Error(("open-to-read", *_NAMES)),
}


class IoErrors:
    """The campaign.

    Args:
        workshop: where the projects of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop

    def streams(self) -> list[Stream]:
        """Return failing calls of every program."""
        return [Stream(self._cases())]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        name, kind, at, error = case.split("/")
        program = self._workshop.programs[name]
        before = self._workshop.before(program)
        folder, plan = self._workshop.copy(before), self._workshop.folder / "plan"
        fault = Fault(
            "fail",
            kinds=(kind,),
            at=int(at),
            error=getattr(errno, error),
            later_kinds=_ERRORS[error].later_kinds,
        )
        write_plan(plan, folder, fault)
        ended = run_forked(program.command, folder, plan=plan)
        if not read_calls(plan).is_hit:
            return Outcome(NOT_REACHED, output=ended.output)
        finished = self._workshop.after(program)
        problems = ended_badly(ended) + torn(folder, before, finished)
        if "remove" not in (kind, *fault.later_kinds):
            problems += _left_now(folder, before, finished)
        if not program.writes:
            problems += not_told(ended) if ended.status == 2 else []
            return worst(problems, ANSWERED, ended.output)
        problems += differing(folder, finished) if ended.status == 0 else not_told(ended)
        again = run_forked(program.command, folder)
        problems += self._of_next_run(program, again) + differing(folder, finished)
        problems += left_over(folder, before, finished)
        kind_of_outcome = AS_FROM_SCRATCH if ended.status == 0 else TOLD
        output = f"{ended.output}\n--- the next run:\n{again.output}"
        return worst(problems, kind_of_outcome, output)

    def _of_next_run(self, program: Program, again: Ended) -> list[Problem]:
        problems = ended_badly(again)
        if again.status and not is_already_done(program, again.output):
            problems.append(Problem(NOT_MENDED, last_line(again.output)))
        return problems

    def _cases(self) -> Iterator[str]:
        chance = random.Random(f"{self._workshop.seed}/errors")
        programs = list(self._workshop.programs.values())
        kinds = ("open-to-read", "read", *CHANGING)
        for call in chosen_calls(self._workshop, programs, kinds):
            kind = call.split("/")[1]
            possible = [name for name, error in _ERRORS.items() if kind in error.kinds]
            yield f"{call}/{chance.choice(possible)}"


def _left_now(folder: Path, before: Path, finished: Path) -> list[Problem]:
    """Return what a failed program left; the next training goes on from the state of one."""
    found = left_over(folder, before, finished)
    return [problem for problem in found if f"{RESULTS.state('')}/" not in problem.detail]


def campaign(workshop: Workshop) -> IoErrors:
    """Return the campaign."""
    return IoErrors(workshop)
