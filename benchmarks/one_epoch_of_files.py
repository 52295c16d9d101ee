"""Read rows in files once, and print what was read and the memory that it took, as JSON.

Each row has to come once, and some batches are compared with what another way of reading, that of
``MemmapDataset``, finds there.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np
import torch

from benchmarks.one_epoch import memory_kib
from memtrain.cli.entry_point import argument_parser
from memtrain.config.training import ShuffleSettings
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.row_decoding import list_fields
from memtrain.loading.block_loader import BlockLoader

BATCH = 1024


def number_of_rows(batch: Any) -> int:
    """Return the number of rows of a batch, a tensor or a dict of them."""
    return len(list_fields(batch)[0])


def run_epoch(path: str, reader: str, buffer_bytes: str) -> dict[str, Any]:
    """Run through one epoch, and return what it took from the second buffer on."""
    shuffle = ShuffleSettings(buffer_bytes=buffer_bytes)
    before = _open_descriptors()
    loader = BlockLoader(MemmapDataset(path), BATCH, shuffle=shuffle, seed=1, reader=reader)
    settled = 2 * loader.order.rows_per_buffer // BATCH
    anonymous, descriptors = [], []
    for number, _ in enumerate(loader):
        if number >= settled and number % 16 == 0:
            anonymous.append(memory_kib("RssAnon"))
            descriptors.append(_open_descriptors() - before)
    return {
        "anonymous_kib": [min(anonymous), max(anonymous)],
        "descriptors": max(descriptors),
        "right": _gives_each_row(path, reader, shuffle),
    }


def _gives_each_row(path: str, reader: str, shuffle: ShuffleSettings) -> bool:
    """Return whether an epoch has each row once, with the values of the files."""
    dataset = MemmapDataset(path)
    loader = BlockLoader(dataset, BATCH, shuffle=shuffle, seed=1, reader=reader, tell_rows=True)
    seen = np.zeros(len(dataset), np.uint8)
    is_right = True
    for number, batch in enumerate(loader):
        seen[loader.rows] += 1
        if number % 16 == 0:
            is_right &= _agree(batch, dataset.gather(loader.rows))
    return is_right and bool((seen == 1).all())


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _agree(batch: Any, expected: Any) -> bool:
    pairs = zip(list_fields(batch), list_fields(expected), strict=True)
    return all(torch.equal(values, others) for values, others in pairs)


def main(argv: list[str] | None = None) -> int:
    """Run through an epoch, and print what it took."""
    parser = argument_parser(__name__)
    parser.add_argument("path", help="a record file, or rows.json")
    parser.add_argument("reader", choices=["mmap", "pread", "direct"])
    parser.add_argument("--buffer-bytes", default="32MiB")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(json.dumps(run_epoch(args.path, args.reader, args.buffer_bytes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
