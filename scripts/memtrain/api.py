"""The public names of memtrain, for programs of your own."""

from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

__all__ = ["BlockLoader", "MemmapDataset", "Range", "ShuffleSettings", "UserError"]
