"""Describing a thousand sparse files of a gigabyte: time, memory and descriptors."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np

from benchmarks.file_sets import benchmark_folder
from benchmarks.measuring import spread
from benchmarks.one_epoch import memory_kib
from memtrain.config.files import FilesSettings
from memtrain.config.training import ShuffleSettings
from memtrain.core.ranges import Range
from memtrain.data.files_description import describe_files
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.loading.row_order import row_order

FILES = 1000
FILE_BYTES = 1 << 30
COLUMNS = 256
RUNS = 5

#: Descriptors that the program may have at a time: 64 and those that Python starts with.
MOST_DESCRIPTORS = 64 + 16


def write_sparse_files(folder: Path) -> None:
    """Write ``.npy`` files of float32 that are holes behind their headers."""
    rows = FILE_BYTES // 4 // COLUMNS
    for number in range(FILES):
        with open(folder / f"part-{number}.npy", "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 4 * COLUMNS * rows)


def measure(folder: str) -> None:
    """Describe the files and take a first batch, under a limit of descriptors; print the times."""
    import torch  # noqa: F401 its time and memory do not count

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_DESCRIPTORS, most))
    settings = FilesSettings(
        path=[f"{folder}/*.npy"], features=[f"0:{COLUMNS - 1}"], target=[f"{COLUMNS - 1}:"]
    )
    before, start = memory_kib("RssAnon"), time.perf_counter()
    layout, _ = describe_files(settings)
    described, seconds = memory_kib("RssAnon"), time.perf_counter() - start
    report = {"seconds": seconds, "mebibytes": (described - before) / 1024, "rows": layout.rows}
    start = time.perf_counter()
    row_order(
        [Range(0, layout.rows)],
        row_bytes=layout.row_bytes,
        batch_size=1024,
        accumulation_steps=1,
        shuffle=ShuffleSettings(),
        seed=1,
    ).epoch(0)
    report["order"] = time.perf_counter() - start
    for reader in ("mmap", "pread"):
        start = time.perf_counter()
        loader = BlockLoader(MemmapDataset(layout), 1024, seed=1, reader=reader)
        next(iter(loader))
        report[reader] = time.perf_counter() - start
    print(json.dumps(report))


def main() -> str:
    """Return the table."""
    with benchmark_folder() as folder:
        write_sparse_files(folder)
        command = [sys.executable, "-m", "benchmarks.describing", str(folder)]
        root = Path(__file__).resolve().parents[1]
        reports = [
            json.loads(subprocess.check_output(command, cwd=root, text=True)) for _ in range(RUNS)
        ]
    values = {
        "describing them, s": [report["seconds"] for report in reports],
        "memory that this takes, MiB": [report["mebibytes"] for report in reports],
        "permuting the blocks of an epoch, s": [report["order"] for report in reports],
        "first shuffled batch, mmap, s": [report["mmap"] for report in reports],
        "first shuffled batch, pread, s": [report["pread"] for report in reports],
    }
    lines = [f"| {name} | {spread(found, '{:.3f}')} |" for name, found in values.items()]
    title = (
        f"### Describing {FILES:,} sparse .npy files of 1 GiB ({reports[0]['rows']:,} rows), with "
        f"at most {MOST_DESCRIPTORS} descriptors"
    )
    return "\n".join([title, "", "| | median (range) |", "|---|---|", *lines])


if __name__ == "__main__":
    measure(sys.argv[1])
