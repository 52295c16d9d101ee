"""The program's side: prepares its rows, warms up, and runs for some seconds at each request.

The driver starts this file with the Python of a program's own environment, which has NumPy and
PyTorch but not the packages of the project. A program is a module of ``programs`` with a function
``loader(path, folder, batch_size=..., workers=..., **options)``, which returns an object that
yields the batches of an epoch each time it is iterated. A program with a format of its own also has
``prepare(path, folder)``, which converts the rows. A request is a number of seconds on a line of
standard input; an answer is a line of JSON. The first answer is about the preparation.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from itertools import chain, repeat
from pathlib import Path
from types import ModuleType

import numpy as np
import torch


def main() -> None:
    """Serve one program until the driver closes standard input."""
    arguments = parse_arguments()
    answer = take_standard_output()
    try:
        serve(arguments, answer)
    except Exception as error:
        traceback.print_exc()
        # The last line of an error from a worker process is the error itself.
        answer(failed=traceback.format_exception_only(error)[-1].strip().splitlines()[-1])


def parse_arguments() -> argparse.Namespace:
    """Return the arguments from the driver."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="a module of benchmarks.peers.programs")
    parser.add_argument("path", type=Path, help="the .npy file of the rows")
    parser.add_argument("folder", type=Path, help="folder for the rows in the program's own format")
    parser.add_argument("--package", default="", help="package whose version is reported")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument(
        "--options", type=json.loads, required=True, help="further arguments of the loader, in JSON"
    )
    parser.add_argument("--warm", type=float, help="seconds to warm up; a cold run without it")
    return parser.parse_args()


def take_standard_output() -> Callable[..., None]:
    """Reserve standard output for answers, and send what libraries print to standard error.

    Returns:
        A function that writes its keyword arguments as an answer.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda **answer: print(json.dumps(answer), file=answers, flush=True)


def serve(arguments: argparse.Namespace, answer: Callable[..., None]) -> None:
    """Prepare the rows, then run at each request of the driver."""
    torch.set_num_threads(1)
    path = arguments.path
    folder = arguments.folder
    program = importlib.import_module(f"benchmarks.peers.programs.{arguments.program}")
    prepare_seconds = prepare_once(program, path, folder)
    loader = program.loader(
        path,
        folder,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        **arguments.options,
    )
    cold = arguments.warm is None
    answer(
        version=importlib.metadata.version(arguments.package) if arguments.package else "",
        prepare_seconds=prepare_seconds,
        scatter=None if cold else warm(loader, path, folder, arguments.warm),
    )
    for line in sys.stdin:
        answer(**run(loader, float(line), cold))


def prepare_once(program: ModuleType, path: Path, folder: Path) -> float | None:
    """Convert the rows if they are not converted yet.

    Returns:
        The seconds that the conversion took, now or then; None for a program without one.
    """
    if not hasattr(program, "prepare"):
        return None
    done = folder / "prepare_seconds"
    if not done.exists():
        # A failed attempt may have left files here.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.perf_counter()
        program.prepare(path, folder)
        done.write_text(str(time.perf_counter() - start))
    return float(done.read_text())


def warm(loader: Iterable, path: Path, folder: Path, seconds: float) -> float:
    """Bring all files into the page cache, and check the batches of the loader for some seconds.

    Returns:
        The variance of the batches' mean row number, divided by that of batches drawn at random: 1
        for rows that are well mixed, the rows of a batch for rows in file order.

    Raises:
        ValueError: if the first batch does not hold rows of the file.
    """
    for file in [path, *folder.rglob("*")]:
        if file.is_file():
            read_through(file)
    rows = np.load(path, mmap_mode="r")
    # Column 0 holds the row's number.
    mean = (len(rows) - 1) / 2
    variance = (len(rows) ** 2 - 1) / 12
    ratios = []
    end = float("inf")
    for batch in epochs(loader):
        numbers = np.asarray(batch[:, 0]).astype(np.int64)
        if not ratios:
            if not np.array_equal(rows[numbers], batch):
                raise ValueError("the first batch does not hold rows of the file")
            end = time.perf_counter() + seconds
        ratios.append(len(batch) * (numbers.mean() - mean) ** 2 / variance)
        if time.perf_counter() > end:
            break
    return float(np.mean(ratios))


def read_through(file: Path) -> None:
    """Read a file, so that it is in the page cache."""
    buffer = bytearray(1 << 20)
    with file.open("rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass


def epochs(loader: Iterable) -> Iterable:
    """Yield the batches of one epoch after the other, endlessly."""
    return chain.from_iterable(repeat(loader))


def run(loader: Iterable, seconds: float, cold: bool) -> dict[str, float]:
    """Take batches for some seconds, and read one value of each, as a consumer would.

    The seconds of a warm run start with the first batch, and epoch follows epoch. The seconds of a
    cold run start with the run, since its first batch is the slowest, and it ends after one epoch,
    since the next one would be warm. Batches that were fetched along with the last one arrive at
    once, and count as well.
    """
    rows = first_rows = 0
    first_seconds = elapsed = 0.0
    start = time.perf_counter()
    for batches, batch in enumerate(loader if cold else epochs(loader)):
        float(batch[0, 0])
        now = time.perf_counter() - start
        if cold and elapsed > seconds and now - elapsed > 0.01 * elapsed / batches:
            break
        rows += len(batch)
        elapsed = now
        if not batches:
            first_rows = rows
            first_seconds = elapsed
        if not cold and elapsed - first_seconds > seconds:
            break
    return {
        "rows": rows,
        "seconds": elapsed,
        "first_rows": first_rows,
        "first_seconds": first_seconds,
    }


if __name__ == "__main__":
    main()
