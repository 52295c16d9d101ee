"""Batches as nanoGPT's training script draws them, from random places of a memory map.

What ``get_batch`` of https://github.com/karpathy/nanoGPT/blob/master/train.py does, in the same
operations: the map is made anew for each batch, and every window is cut from it twice, cast to
int64, and stacked. It knows no epochs; as many windows are drawn here as the file has.
"""

from collections.abc import Iterator

import numpy as np
import torch
from common import Task, measure, read_task


def cut(data: np.memmap, starts: torch.Tensor, length: int) -> torch.Tensor:
    """Return windows of a memory map as int64 (windows, length)."""
    return torch.stack(
        [torch.from_numpy(data[start : start + length].astype(np.int64)) for start in starts]
    )


class Draws:
    """Draws batches of random windows, and of the windows one token later.

    Attributes:
        starts: int64 (windows,), the first tokens of the last batch.
    """

    def __init__(self, task: Task):
        self._task = task
        self.starts = torch.empty(0, dtype=torch.int64)

    def epoch(self, number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield as many windows as the file has."""
        torch.manual_seed(number)
        length, windows = self._task.length, self._task.batch_size
        tokens = len(np.memmap(self._task.path, np.uint16, "r"))
        for _ in range(tokens // length // windows):
            data = np.memmap(self._task.path, dtype=np.uint16, mode="r")
            self.starts = torch.randint(len(data) - length, (windows,))
            yield cut(data, self.starts, length), cut(data, self.starts + 1, length)


def main() -> None:
    """Measure the batches of as many windows as the file has."""
    task = read_task()
    draws = Draws(task)
    measure(task, draws.epoch, starts_of_batch=lambda: draws.starts.numpy())


if __name__ == "__main__":
    main()
