"""Batches of OLMo-core's NumpyFSLDataset and its loader, without workers.

An instance is the tokens of a window alone: OLMo-core takes the targets from the inputs, and does
without the token behind the last. So the last target is not of the file here.
"""

import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from common import measure, read_task
from olmo_core.data import DataCollator, NumpyFSLDataLoader, NumpyFSLDataset


def main() -> None:
    """Measure the epochs of the loader."""
    task = read_task()
    dataset = NumpyFSLDataset(
        task.path,
        sequence_length=task.length,
        pad_token_id=0,
        eos_token_id=(1 << 16) - 1,
        vocab_size=1 << 16,
        dtype=np.uint16,
        include_instance_metadata=False,
    )
    with tempfile.TemporaryDirectory(dir=Path(task.path).parent) as folder:
        dataset.work_dir = folder
        dataset.prepare()
        loader = NumpyFSLDataLoader(
            dataset,
            collator=DataCollator(pad_token_id=0),
            global_batch_size=task.batch_size * task.length,
            work_dir=folder,
            seed=0,
        )

        def epoch(number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            loader.reshuffle(epoch=number + 1)
            for batch in loader:
                inputs = batch["input_ids"]
                yield inputs, inputs.roll(-1, 1)
            loader.reset()

        measure(task, epoch, version=version("ai2-olmo-core"))


if __name__ == "__main__":
    main()
