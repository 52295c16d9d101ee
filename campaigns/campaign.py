"""Runs the cases of a campaign within bounds, and counts what comes out."""

import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from campaigns.outcomes import BROKEN, FAULTS, Outcome


@dataclass
class Stream:
    """Cases of one sort, in the order of the seed.

    Attributes:
        names: the names of the cases; may never end.
        seconds_needed: the cases are tried only if the campaign may take at least this long.
        seconds_used: time that the cases have taken.
    """

    names: Iterator[str]
    seconds_needed: float = 0
    seconds_used: float = 0


class Campaign(Protocol):
    """Cases that can each be run by their name alone."""

    def streams(self) -> list[Stream]:
        """Return the cases in the order of the seed; those that take long in their own streams."""
        ...

    def run(self, case: str) -> Outcome:
        """Run a case."""
        ...


@dataclass(frozen=True)
class Bounds:
    """How far a campaign goes.

    Attributes:
        seed: chooses the cases.
        cases: most cases; None for no limit.
        seconds: most seconds; a case that has begun ends.
    """

    seed: int
    cases: int | None
    seconds: float


@dataclass
class Result:
    """What came out of a campaign.

    Attributes:
        name: the name of the campaign.
        bounds: how far it went.
        outcomes: what came out of each case, by its name.
        seconds: the time it took.
    """

    name: str
    bounds: Bounds
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    seconds: float = 0

    @property
    def faults(self) -> dict[str, Outcome]:
        """The cases that went wrong."""
        return {case: outcome for case, outcome in self.outcomes.items() if outcome.is_fault}

    def table(self) -> str:
        """Return a table of the outcomes in Markdown, and the list of the cases that went wrong."""
        counts = Counter(outcome.kind for outcome in self.outcomes.values())
        promised = [kind for kind, _ in counts.most_common() if kind not in FAULTS]
        lines = [
            f"### {self.name}: seed {self.bounds.seed}, {len(self.outcomes):,} cases in "
            f"{self.seconds:,.0f} seconds",
            "",
            "| outcome | cases |",
            "|---|---:|",
            *(f"| {kind} | {counts[kind]:,} |" for kind in promised),
            *(f"| fault: {kind} | {counts[kind]:,} |" for kind in FAULTS),
        ]
        return "\n".join(lines + self._list_of_faults())

    def _list_of_faults(self) -> list[str]:
        """Return the faults, those with the same message together."""
        together: dict[tuple[int, str], list[str]] = {}
        for case, outcome in self.faults.items():
            key = (FAULTS.index(outcome.kind), outcome.detail)
            together.setdefault(key, []).append(case)
        lines = []
        for (kind, detail), cases in sorted(together.items()):
            lines += ["", f"- {FAULTS[kind]}: {detail}"]
            lines += [f"  `{self._command(case)}`" for case in cases]
        return lines

    def _command(self, case: str) -> str:
        return f"python -m campaigns {self.name} --seed {self.bounds.seed} --only '{case}'"


def run_campaign(name: str, campaign: Campaign, bounds: Bounds) -> Result:
    """Run cases until a bound is reached, and name each fault on standard error as it comes.

    The next case always comes from the stream that has used the least time.
    """
    start = time.monotonic()
    result = Result(name, bounds)
    streams = [one for one in campaign.streams() if one.seconds_needed <= bounds.seconds]
    start_of_cases = time.monotonic()
    while streams and time.monotonic() - start_of_cases < bounds.seconds:
        if bounds.cases is not None and len(result.outcomes) >= bounds.cases:
            break
        stream = min(streams, key=lambda one: one.seconds_used)
        case = next(stream.names, None)
        if case is None:
            streams.remove(stream)
            continue
        before = time.monotonic()
        result.outcomes[case] = outcome = _outcome(campaign, case)
        if outcome.is_fault:
            print(f"{name} {case}: {outcome.kind}: {outcome.detail}", file=sys.stderr, flush=True)
        stream.seconds_used += time.monotonic() - before
    result.seconds = time.monotonic() - start
    return result


def _outcome(campaign: Campaign, case: str) -> Outcome:
    """Run a case; an error of the campaign itself is an outcome, so that the others still run."""
    try:
        return campaign.run(case)
    except Exception as error:
        return Outcome(BROKEN, repr(error)[:300], traceback.format_exc())
