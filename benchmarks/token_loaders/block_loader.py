"""Batches of memtrain's BlockLoader: windows and their targets, cast to int64."""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import torch
from common import measure, read_task

from memtrain.data.field_view import FieldView
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.streams.stream import Stream
from memtrain.loading.block_loader import BlockLoader


def next_tokens(path: str, length: int) -> FilesLayout:
    """Return windows of a raw file of uint16, with the token behind each as its target."""
    size = Path(path).stat().st_size
    stream = Stream.of_parts([(path, size, [(0, size // 2)])], np.dtype("<u2"))
    windows = Windows(length + 1, length, np.array([0, stream.elements]))
    views = {
        "features": FieldView("tokens", start=0, end=length),
        "target": FieldView("tokens", start=1, end=length + 1),
    }
    return FilesLayout((StoredField("tokens", stream, windows),), views)


def main() -> None:
    """Measure the epochs of the loader."""
    task = read_task()
    dataset = MemmapDataset(next_tokens(task.path, task.length))
    shape = (task.batch_size, task.length)
    inputs, targets = torch.empty(shape, dtype=torch.int64), torch.empty(shape, dtype=torch.int64)

    def epoch(number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in BlockLoader(dataset, task.batch_size, seed=number):
            rows = len(batch["target"])
            inputs[:rows].copy_(batch["features"])
            targets[:rows].copy_(batch["target"])
            yield inputs[:rows], targets[:rows]

    measure(task, epoch)


if __name__ == "__main__":
    main()
