"""Batches of rows in a fixed order, which processes share so that sums over them are the same.

The rows are cut into batches, in order, and the batches into lanes. A lane is summed up by one
process, batch after batch, and the sums of the lanes are added in a tree. Neither batches nor lanes
depend on the number of processes, so that the numbers do not either.
"""

from dataclasses import dataclass

import torch

from memtrain.core.ranges import at_positions
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader
from memtrain.recipes.recipe import Rows
from memtrain.training.run_context import RunContext

#: Most lanes, which limits the memory of their sums. More processes wait for those that have one.
_MOST_LANES = 64


@dataclass(frozen=True)
class Lanes:
    """The lanes of some rows.

    Attributes:
        rows: the rows.
        rows_per_batch: rows of each batch but the last.
        batches: number of batches.
        accumulation_steps: micro-batches of a window, which the processes of a training share.
        context: what the training runs in.
        is_shared: whether processes share the lanes; if not, each of them has all.
    """

    rows: Rows
    rows_per_batch: int
    batches: int
    accumulation_steps: int
    context: RunContext
    is_shared: bool = True

    @property
    def count(self) -> int:
        """The number of lanes: a power of two, like the processes that may train together."""
        lanes = self.accumulation_steps & -self.accumulation_steps
        while lanes > min(self.batches, _MOST_LANES):
            lanes //= 2
        return lanes

    @property
    def own(self) -> range:
        """The lanes of this process."""
        lanes, group = self.count, self.context.group
        if not self.is_shared:
            return range(lanes)
        first, end = (lanes * rank // group.world_size for rank in (group.rank, group.rank + 1))
        return range(first, end)

    def loader(self, dataset: MemmapDataset) -> BlockLoader | None:
        """Return a loader of the batches of this process; None if it has none.

        Args:
            dataset: the rows, with their transform.
        """
        if not self.own:
            return None
        start, end = self.of_lane(self.own[0]).start, self.of_lane(self.own[-1]).stop
        size, loading = self.rows_per_batch, self.context.loading
        return BlockLoader(
            dataset,
            size,
            shuffle=None,
            ranges=list(at_positions(self.rows.resolved, start * size, end * size)),
            reader=loading.reader,
            mapped_files=loading.most_mapped,
            memory_budget=loading.budget_bytes,
        )

    def of_lane(self, lane: int) -> range:
        """Return the batches of a lane."""
        return range(self.batches * lane // self.count, self.batches * (lane + 1) // self.count)

    def added(self, lanes: torch.Tensor, stop: bool) -> tuple[torch.Tensor, bool]:
        """Return the sums over all lanes, and whether any process is to stop.

        Args:
            lanes: sums of each lane, float64 (lanes, sums), with zeros in those of other processes,
                so that adding the processes up rounds nothing.
            stop: whether this process is to stop.
        """
        group = self.context.group
        if self.is_shared and group.world_size > 1:
            sent = torch.cat([lanes.reshape(-1), torch.tensor([stop], dtype=torch.float64)])
            total = group.all_reduce_sum(sent.to(self.context.device)).cpu()
            lanes, stop = total[:-1].reshape(lanes.shape), bool(total[-1])
        while len(lanes) > 1:
            lanes = lanes[0::2] + lanes[1::2]
        return lanes[0], stop
