"""What comes out of a case: an outcome that memtrain promises, or a fault."""

from dataclasses import dataclass

#: Outcomes that memtrain promises.
AS_FROM_SCRATCH = "as from scratch"
KILLED = "killed; the next run is as from scratch"
TOLD = "told in one sentence; the next run is as from scratch"
REFUSED = "refused, and told why"
REFUSED_LATE = "refused, and told why, but only while it runs"
RAN = "ran"
NOTICED = "noticed, and told where"
ANSWERED = "answered"
NOT_REACHED = "ended before the fault came"

#: Faults, the worst first.
OTHER_BYTES = "other bytes"
SILENT = "silent"
TORN = "torn file"
CRASH = "crash"
HANG = "hang"
TRACEBACK = "traceback"
NOT_MENDED = "the next run fails"
NOT_TOLD = "not told in a sentence"
LEFT_OVER = "left over"
BROKEN = "the campaign itself fails"
FAULTS = (
    *(OTHER_BYTES, SILENT, TORN, CRASH, HANG, TRACEBACK, NOT_MENDED, NOT_TOLD, LEFT_OVER),
    BROKEN,
)


@dataclass(frozen=True)
class Outcome:
    """What came out of a case.

    Attributes:
        kind: one of the constants above.
        detail: a line that says where, or what was printed.
        output: all that the programs of the case printed.
    """

    kind: str
    detail: str = ""
    output: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether memtrain broke a promise."""
        return self.kind in FAULTS

    def report(self) -> str:
        """Return all that is known of the outcome."""
        return "\n".join(part for part in (self.output, f"{self.kind}: {self.detail}") if part)


@dataclass(frozen=True)
class Problem:
    """Something that a check found wrong.

    Attributes:
        kind: one of FAULTS.
        detail: a line that says where.
    """

    kind: str
    detail: str


def worst(problems: list[Problem], otherwise: str, output: str = "") -> Outcome:
    """Return the worst problem as the outcome.

    Args:
        problems: what is wrong; may be empty.
        otherwise: the kind of the outcome without a problem.
        output: all that was printed.
    """
    if not problems:
        return Outcome(otherwise, output=output)
    found = min(problems, key=lambda problem: FAULTS.index(problem.kind))
    return Outcome(found.kind, found.detail, output)
