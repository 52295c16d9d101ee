"""The side of the programs: prepares, warms, and runs for some seconds whenever it is told to.

The driver starts this with the Python of a program's own environment, where nothing of the project
is but this file, NumPy and PyTorch. A program is a module of ``programs`` with
``loader(path, folder, batch_size, workers, **options)``, which returns what yields the batches of
an epoch each time it is iterated, and, where it has a format of its own, ``prepare(path, folder)``,
which converts the rows. What comes in are numbers of seconds, a line each; what goes out is a line
of JSON each, the first one about the preparation.
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
    """Serve one program until the driver closes our standard input."""
    arguments = parse_arguments()
    answer = take_standard_output()
    try:
        serve(arguments, answer)
    except Exception as error:
        traceback.print_exc()
        # Of an error in a worker process, the last line is the error itself.
        answer(failed=traceback.format_exception_only(error)[-1].strip().splitlines()[-1])


def parse_arguments() -> argparse.Namespace:
    """Return the arguments that the driver passes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="a module of benchmarks.peers.programs")
    parser.add_argument("path", type=Path, help="the .npy file of the rows")
    parser.add_argument("folder", type=Path, help="for the rows in the program's own format")
    parser.add_argument("--package", default="", help="whose version is told")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--options", type=json.loads, required=True, help="more, for the loader")
    parser.add_argument("--warm", type=float, help="seconds to run through the rows; cold without")
    return parser.parse_args()


def take_standard_output() -> Callable[..., None]:
    """Keep standard output for answers; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda **answer: print(json.dumps(answer), file=answers, flush=True)


def serve(arguments: argparse.Namespace, answer: Callable[..., None]) -> None:
    """Prepare, then run as often as the driver asks."""
    torch.set_num_threads(1)
    path, folder = arguments.path, arguments.folder
    program = importlib.import_module(f"benchmarks.peers.programs.{arguments.program}")
    prepare_seconds = prepare_once(program, path, folder)
    loader = program.loader(
        path, folder, arguments.batch_size, arguments.workers, **arguments.options
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
    """Convert the rows unless they are; return the seconds that it took, then or now."""
    if not hasattr(program, "prepare"):
        return None
    done = folder / "prepare_seconds"
    if not done.exists():
        # What an attempt that failed may have left.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.perf_counter()
        program.prepare(path, folder)
        done.write_text(str(time.perf_counter() - start))
    return float(done.read_text())


def warm(loader: Iterable, path: Path, folder: Path, seconds: float) -> float:
    """Bring all files into the page cache, and look at what the loader yields for some seconds.

    Returns:
        The variance of the batches' mean row number, over that of batches drawn at random: 1 where
        rows are well mixed, up to the rows of a batch where they come as they lie.

    Raises:
        ValueError: where what it yields is no batch of our rows.
    """
    for file in [path, *folder.rglob("*")]:
        if file.is_file():
            read_through(file)
    rows = np.load(path, mmap_mode="r")
    # Column 0 holds the row's number.
    middle, variance = (len(rows) - 1) / 2, (len(rows) ** 2 - 1) / 12
    ratios, end = [], float("inf")
    for batch in epochs(loader):
        numbers = np.asarray(batch[:, 0]).astype(np.int64)
        if not ratios:
            if not np.array_equal(rows[numbers], batch):
                raise ValueError("the first batch does not hold rows of the file")
            end = time.perf_counter() + seconds
        ratios.append(len(batch) * (numbers.mean() - middle) ** 2 / variance)
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
    """Yield the batches of one epoch after the other, without an end."""
    return chain.from_iterable(repeat(loader))


def run(loader: Iterable, seconds: float, cold: bool) -> dict[str, float]:
    """Take batches for some seconds, and look at one value of each, as a consumer would.

    The seconds begin with the first batch, and epoch follows epoch. In the cold they begin with the
    run, as the first batch is the slowest, and one epoch is all: the next would be a warm one. What
    was fetched along with the last batch, and so comes at once, is then counted as well.
    """
    batches = rows = first_rows = 0
    first_seconds = elapsed = 0.0
    start = time.perf_counter()
    for batch in loader if cold else epochs(loader):
        float(batch[0, 0])
        now = time.perf_counter() - start
        if cold and elapsed > seconds and now - elapsed > 0.01 * elapsed / batches:
            break
        batches, rows, elapsed = batches + 1, rows + len(batch), now
        if batches == 1:
            first_rows, first_seconds = rows, elapsed
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
