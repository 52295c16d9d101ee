"""Batches of Megatron Core's GPTDataset, in a DataLoader without workers.

The ``.idx`` that it needs is written by its own builder. All tokens are one document, so that its
samples are the windows of the file.
"""

import os
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from common import Task, measure, read_task
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
from megatron.core.datasets.utils import Split
from torch.utils.data import DataLoader


def write_index(task: Task, folder: str) -> str:
    """Write the tokens in Megatron's format, and return the prefix of its files."""
    prefix = str(Path(folder) / "tokens")
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.uint16)
    tokens = np.memmap(task.path, np.uint16, "r")
    builder.add_document(torch.from_numpy(tokens.astype(np.int32)), [len(tokens)])
    builder.finalize(f"{prefix}.idx")
    # The bytes are the same; this way, they came into the page cache as those of the others did.
    assert Path(f"{prefix}.bin").stat().st_size == len(tokens) * 2
    Path(f"{prefix}.bin").unlink()
    os.symlink(Path(task.path).resolve(), f"{prefix}.bin")
    return prefix


def dataset(task: Task, prefix: str, seed: int) -> GPTDataset:
    """Return the dataset of one epoch, with masks as its training script sets them on a GPU."""
    tokenizer = SimpleNamespace(
        vocab_size=1 << 16, eod=(1 << 16) - 1, pad=-1, special_tokens_dict={}, unique_identifiers={}
    )
    config = GPTDatasetConfig(
        random_seed=seed,
        sequence_length=task.length,
        split="1",
        path_to_cache=str(Path(prefix).parent / f"cache-{seed}"),
        tokenizer=tokenizer,
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    indexed = GPTDataset.build_low_level_dataset(prefix, config)
    return GPTDataset(indexed, prefix, np.arange(1), None, Split.train, config)


def main() -> None:
    """Measure the epochs of the dataset; what it indexes before an epoch does not count."""
    task = read_task()
    with tempfile.TemporaryDirectory(dir=Path(task.path).parent) as folder:
        prefix = write_index(task, folder)
        datasets = [dataset(task, prefix, seed) for seed in range(task.epochs + 1)]

        def epoch(number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            for batch in DataLoader(datasets[number], task.batch_size):
                yield batch["tokens"], batch["labels"]

        measure(task, epoch, version=version("megatron-core"))


if __name__ == "__main__":
    main()
