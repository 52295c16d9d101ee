"""Rows per second that BlockLoader brings to the device, and what copies alone would reach."""

from collections.abc import Callable, Iterator

import torch

from benchmarks.gpu.findings import Finding, Setting
from benchmarks.measuring import compare
from benchmarks.record_files import numbered_rows
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

_COLUMNS = (20, 128, 1024)
_BATCH = 1024


def find(setting: Setting) -> Iterator[Finding]:
    """Yield the rates of every width of rows."""
    for columns in _COLUMNS:
        rows = setting.size(512 << 20, 4 << 20) // (4 * columns)
        with numbered_rows(rows, columns) as path:
            yield from _rates(path, columns, setting)


def _rates(path: str, columns: int, setting: Setting) -> Iterator[Finding]:
    dataset = MemmapDataset(path)
    programs: dict[str, Callable[[], int]] = {
        "copies of whole batches": _copies(dataset, setting, _BATCH),
        "copies of 64 MiB": _copies(dataset, setting, (64 << 20) // (4 * columns)),
        "BlockLoader, on the CPU": _epoch(dataset, setting, torch.device("cpu")),
        "BlockLoader, to the device": _epoch(dataset, setting, setting.device),
    }
    ceiling = "copies of 64 MiB"
    comparison = compare(programs, "rows/s", runs=setting.size(3, 1))
    for name, rates in comparison.rates.items():
        shares = sorted(comparison.ratio(name, ceiling))
        rate = sorted(rates)[len(rates) // 2]
        share = shares[len(shares) // 2]
        yield Finding(f"{columns} float32: {name}", rate, "rows/s", share)


def _copies(dataset: MemmapDataset, setting: Setting, rows: int) -> Callable[[], int]:
    """Return a program that copies as many rows from pinned memory as the dataset has."""
    (columns,) = dataset.layout.row_shape
    source = torch.zeros(rows, columns, pin_memory=setting.on_gpu)
    target = torch.empty_like(source, device=setting.device)
    times = max(1, len(dataset) // rows)

    def program() -> int:
        for _ in range(times):
            target.copy_(source, non_blocking=True)
        setting.wait()
        return times * rows

    return program


def _epoch(dataset: MemmapDataset, setting: Setting, device: torch.device) -> Callable[[], int]:
    """Return a program that goes through a shuffled epoch."""
    loader = BlockLoader(dataset, _BATCH, seed=1, device=device)

    def program() -> int:
        rows = sum(len(batch) for batch in loader)
        setting.wait()
        return rows

    return program
