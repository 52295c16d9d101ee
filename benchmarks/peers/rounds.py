"""Runs the programs in turn, round by round, so that a machine's drift hits all alike."""

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
    """How it is measured.

    Attributes:
        rounds: runs of each program.
        seconds: of a run; from its first batch on, or in the cold from its start on.
        batch_size: rows of a batch.
        workers: the numbers of worker processes that are of interest.
        cold: drop the files from the page cache before every run, of which each is a new process.
    """

    rounds: int
    seconds: float
    batch_size: int
    workers: list[int]
    cold: bool


@dataclass
class Result:
    """What is known about a program.

    Attributes:
        program: the program.
        workers: its worker processes.
        failure: why it has no runs, or none any more.
        ready: what it said when it was.
        rates: rows a second, by round.
        first_seconds: until the first batch, by round.
        prepared_bytes: the size of its own files; 0 where it reads those that there are.
        cached: the share of the files in the page cache before each cold run, and after it.
    """

    program: Program
    workers: int
    failure: str = ""
    ready: dict = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)
    first_seconds: dict[int, float] = field(default_factory=dict)
    prepared_bytes: int = 0
    cached: list[tuple[float, float]] = field(default_factory=list)


def measure(
    programs: list[Program], path: Path, settings: Settings, tell: Callable[[str], None]
) -> list[Result]:
    """Measure programs on a file of rows.

    Args:
        programs: in the order of their turns.
        path: the file.
        settings: how.
        tell: called with what is done next.
    """
    results = [
        Result(program, workers)
        for program in programs
        for workers in program.workers
        if workers in settings.workers
    ]
    (_cold_rounds if settings.cold else _warm_rounds)(results, path, settings, tell)
    return results


def _warm_rounds(
    results: list[Result], path: Path, settings: Settings, tell: Callable[[str], None]
) -> None:
    """Start all programs, and let one after the other run."""
    processes: dict[int, Process] = {}
    try:
        for index, result in enumerate(results):
            tell(f"starting {_name(result)}")
            with _failure_of(result):
                processes[index] = _start(result, path, settings, settings.seconds)
                _wait(result, processes[index])
        for number in range(settings.rounds):
            for index, result in _sound(results):
                tell(f"round {number + 1} of {settings.rounds}: {_name(result)}")
                with _failure_of(result):
                    answer = processes[index].run(settings.seconds)
                    # Not the first batch, which took with it what was fetched at once.
                    rows = answer["rows"] - answer["first_rows"]
                    result.rates[number] = rows / (answer["seconds"] - answer["first_seconds"])
                    result.first_seconds[number] = answer["first_seconds"]
    finally:
        for process in processes.values():
            process.close()


def _cold_rounds(
    results: list[Result], path: Path, settings: Settings, tell: Callable[[str], None]
) -> None:
    """Start each program anew for every run: pages that a process has mapped cannot be dropped."""
    for number in range(settings.rounds):
        for _, result in _sound(results):
            tell(f"round {number + 1} of {settings.rounds}: {_name(result)}")
            with _failure_of(result), closing(_start(result, path, settings, None)) as process:
                _wait(result, process)
                files = _files(process.folder) if result.prepared_bytes else [path]
                size = sum(file.stat().st_size for file in files)
                drop(files)
                before = cached_bytes(files)
                answer = process.run(settings.seconds)
                result.rates[number] = answer["rows"] / answer["seconds"]
                result.first_seconds[number] = answer["first_seconds"]
                result.cached.append((before / size, cached_bytes(files) / size))


def _start(result: Result, path: Path, settings: Settings, warm_seconds: float | None) -> Process:
    return Process(result.program, result.workers, path, settings.batch_size, warm_seconds)


def _wait(result: Result, process: Process) -> None:
    result.ready = process.ready()
    result.prepared_bytes = sum(file.stat().st_size for file in _files(process.folder))


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _name(result: Result) -> str:
    return f"{result.program.name}, {result.workers} workers"


def _sound(results: list[Result]) -> Iterator[tuple[int, Result]]:
    return ((index, result) for index, result in enumerate(results) if not result.failure)


@contextmanager
def _failure_of(result: Result) -> Iterator[None]:
    """Note why a program failed; the others go on."""
    try:
        yield
    except (FailedError, NotInstalledError) as error:
        result.failure = str(error)
