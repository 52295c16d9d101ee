"""Runs the programs in turn, round by round, so that a drift of the machine hits all of them."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.catalogue import Program
from benchmarks.peers.environments import NotInstalledError
from benchmarks.peers.page_cache import cached_bytes, drop
from benchmarks.peers.processes import FailedError, Process


@dataclass(frozen=True)
class Settings:
    """How the programs are measured.

    Attributes:
        rounds: runs of each program.
        seconds: duration of a run, from its first batch on; of a cold run, from its start on.
        batch_size: rows of a batch.
        workers: numbers of worker processes to measure.
        cold: whether the files are dropped from the page cache before every run; each run is then
            a new process.
    """

    rounds: int
    seconds: float
    batch_size: int
    workers: list[int]
    cold: bool


@dataclass(frozen=True)
class CachedShare:
    """Share of a program's files in the page cache before a run, and after it."""

    before: float
    after: float


@dataclass
class Result:
    """The measurements of a program.

    Attributes:
        program: the program.
        workers: number of its worker processes.
        failure: why the program failed; empty as long as it has not.
        ready: answer of the program when it was ready.
        rates: rows per second, by round.
        first_seconds: seconds to the first batch, by round.
        prepared_bytes: size of the files in the program's own format; 0 if it reads the .npy file.
        cached: shares of the files in the page cache, for each cold run.
    """

    program: Program
    workers: int
    failure: str = ""
    ready: dict = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)
    first_seconds: dict[int, float] = field(default_factory=dict)
    prepared_bytes: int = 0
    cached: list[CachedShare] = field(default_factory=list)


def measure(
    programs: list[Program], path: Path, settings: Settings, report: Callable[[str], None]
) -> list[Result]:
    """Measure programs on a file of rows.

    Args:
        programs: programs in the order of their turns.
        path: path of the file.
        settings: how they are measured.
        report: called with a description of each step before it is done.
    """
    results = [
        Result(program, workers)
        for program in programs
        for workers in program.workers
        if workers in settings.workers
    ]
    (_cold_rounds if settings.cold else _warm_rounds)(results, path, settings, report)
    return results


def _warm_rounds(
    results: list[Result], path: Path, settings: Settings, report: Callable[[str], None]
) -> None:
    """Start all programs, then let one after the other run in every round."""
    processes: dict[int, Process] = {}
    try:
        for index, result in enumerate(results):
            report(f"starting {_name(result)}")
            with _noting_failure(result):
                processes[index] = _start(result, path, settings, settings.seconds)
                _wait_until_ready(result, processes[index])
        for number in range(settings.rounds):
            for index, result in enumerate(results):
                if result.failure:
                    continue
                report(f"round {number + 1} of {settings.rounds}: {_name(result)}")
                with _noting_failure(result):
                    answer = processes[index].run(settings.seconds)
                    # The first batch does not count: other rows were fetched along with it.
                    rows = answer["rows"] - answer["first_rows"]
                    result.rates[number] = rows / (answer["seconds"] - answer["first_seconds"])
                    result.first_seconds[number] = answer["first_seconds"]
    finally:
        for process in processes.values():
            process.close()


def _cold_rounds(
    results: list[Result], path: Path, settings: Settings, report: Callable[[str], None]
) -> None:
    """Start each program anew for every run, since pages that a process maps cannot be dropped."""
    for number in range(settings.rounds):
        for result in results:
            if result.failure:
                continue
            report(f"round {number + 1} of {settings.rounds}: {_name(result)}")
            with _noting_failure(result), closing(_start(result, path, settings, None)) as process:
                _wait_until_ready(result, process)
                files = _files(process.folder) if result.prepared_bytes else [path]
                size = sum(file.stat().st_size for file in files)
                drop(files)
                before = cached_bytes(files)
                answer = process.run(settings.seconds)
                result.rates[number] = answer["rows"] / answer["seconds"]
                result.first_seconds[number] = answer["first_seconds"]
                result.cached.append(CachedShare(before / size, cached_bytes(files) / size))


def _start(result: Result, path: Path, settings: Settings, warm_seconds: float | None) -> Process:
    return Process(
        result.program,
        workers=result.workers,
        path=path,
        batch_size=settings.batch_size,
        warm_seconds=warm_seconds,
    )


def _wait_until_ready(result: Result, process: Process) -> None:
    result.ready = process.ready()
    result.prepared_bytes = sum(file.stat().st_size for file in _files(process.folder))


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _name(result: Result) -> str:
    return f"{result.program.name}, {result.workers} workers"


@contextmanager
def _noting_failure(result: Result) -> Iterator[None]:
    """Note why a program failed, so that the others can go on."""
    try:
        yield
    except (FailedError, NotInstalledError) as error:
        result.failure = str(error)
