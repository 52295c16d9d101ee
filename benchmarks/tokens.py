"""Batches of the next token, beside nanoGPT, Megatron Core and OLMo-core."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.file_sets import benchmark_folder
from benchmarks.measuring import Work, compare, spread
from benchmarks.peers.environments import NotInstalledError, python_for
from benchmarks.token_loaders.common import BASE

PROGRAMS_FOLDER = Path(__file__).parent / "token_loaders"

LENGTH = 1024
BATCH = 64
WINDOWS = 1 << 15
WINDOWS_PER_WRITE = 256
EPOCHS = 1
RUNS = 3


@dataclass(frozen=True)
class Loader:
    """A program of ``token_loaders/``.

    Attributes:
        name: name of the file and of the environment.
        title: name in the table.
        requirements: packages that the program needs in addition to torch and numpy.
    """

    name: str
    title: str
    requirements: tuple[str, ...] = ()


NANOGPT = Loader("nanogpt", "nanoGPT's get_batch")
LOADERS = [
    Loader("block_loader", "**BlockLoader**, windows"),
    NANOGPT,
    Loader("megatron_core", "Megatron Core, GPTDataset", ("megatron-core==0.16.1",)),
    Loader("olmo", "OLMo-core, NumpyFSLDataLoader", ("ai2-olmo-core==3.0.0",)),
]


def write_tokens(path: Path) -> None:
    """Write windows of uint16 that begin with the digits of their numbers, and one token more."""
    tokens = np.random.default_rng(0).integers(
        BASE, 1 << 16, (WINDOWS_PER_WRITE, LENGTH), np.uint16
    )
    with open(path, "wb", buffering=0) as file:
        for start in range(0, WINDOWS, WINDOWS_PER_WRITE):
            numbers = np.arange(start, start + WINDOWS_PER_WRITE)
            tokens[:, 0], tokens[:, 1] = np.divmod(numbers, BASE)
            file.write(tokens.tobytes())
        file.write(tokens[0, 2:3].tobytes())


class Runner:
    """Runs the programs, and keeps what they say of their epochs.

    Attributes:
        reports: the last report of each program, by its title.
    """

    def __init__(self, path: Path):
        self._path = path
        self.reports: dict[str, dict] = {}

    def program(self, loader: Loader) -> Callable[[], Work]:
        """Return the program that runs a loader, whose environment is made now if it is missing."""
        return partial(self._run, python_for(loader), loader)

    def _run(self, python: Path, loader: Loader) -> Work:
        numbers = map(str, (LENGTH, BATCH, EPOCHS))
        command = [
            str(python),
            str(PROGRAMS_FOLDER / f"{loader.name}.py"),
            str(self._path),
            *numbers,
        ]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=_environment()
        )
        report = self.reports[loader.title] = json.loads(done.stdout.splitlines()[-1])
        return Work(report["rates"][0], 1.0)


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def main() -> str:
    """Return the table, and below it the programs that could not be installed."""
    programs, failed = {}, []
    with benchmark_folder() as folder:
        write_tokens(folder / "tokens.bin")
        runner = Runner(folder / "tokens.bin")
        for loader in LOADERS:
            try:
                programs[loader.title] = runner.program(loader)
            except NotInstalledError as error:
                failed.append(f"- {loader.title} could not be installed: {error}")
        rates = compare(programs, "windows/s", runs=RUNS, warm_up=False)
    title = (
        f"### Tokens: {WINDOWS:,} windows of {LENGTH:,} uint16 and the next token, in batches of "
        f"{BATCH}, as int64, in the page cache"
    )
    lines = [
        "| | version | windows/s, median (range) | times nanoGPT "
        "| tokens visited once in an epoch | never |",
        "|---|---|---|---|---|---|",
    ]
    for name in programs:
        report = runner.reports[name]
        ratio = spread(rates.ratio(name, NANOGPT.title), "{:.1f}")
        lines.append(
            f"| {name} | {report['version'] or '-'} | {spread(rates.rates[name], '{:,.0f}')} "
            f"| {ratio} | {report['once']:.1%} | {report['never']:.1%} |"
        )
    return "\n".join([title, "", *lines, *failed])
